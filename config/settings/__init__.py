"""Settings: one file for every environment, and one for the tests."""

"""The classifier's addresses below /api/v1/; the project's URLs alone import them."""

"""The audit: drawing it, and what it tells."""

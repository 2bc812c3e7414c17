"""The pages that show stored reports on data and models, and the pictures of these."""

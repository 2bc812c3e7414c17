"""What templates need besides Django's own tags; templates alone use it."""

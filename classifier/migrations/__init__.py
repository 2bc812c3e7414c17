"""How the classifier's tables came about."""

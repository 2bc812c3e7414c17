"""How good the catalogue is: a random sample of it, what people said of that, and how far people agree.

For `reviews`, which asks, and every package above it.
"""

"""The demo catalogue: its pictures, products and texts. For the commands that build and load it alone."""

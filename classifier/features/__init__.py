"""What the networks saw in pictures: written once for a picture and base, and nearest neighbours in it.

For `labelling` and every package above it.
"""

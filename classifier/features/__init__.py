"""What the networks saw in pictures, their embedding: written once for a picture and base; nearest neighbours in it.

For `labelling` and every package above it.
"""

"""What the networks saw in pictures: embeddings as mapped files, and nearest neighbours in them.

For `labelling` and every package above it.
"""

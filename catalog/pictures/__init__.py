"""Pictures as bytes: formats, decoding within bounds, and the storage of originals and thumbnails.

For every package above it, and for the classifier; `search` beside it does not know it.
"""

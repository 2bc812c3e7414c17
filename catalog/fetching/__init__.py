"""From an image's row to its bytes: the only room that opens connections to image hosts, and how often it may.

For the catalogue's faces and `interchange`, and for the classifier; `browse` beside it does not know it.
"""

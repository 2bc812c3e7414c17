"""Everything that brings the catalogue in from files and sends it out as files.

For the catalogue's faces and for the classifier; no other package of the catalogue knows it.
"""

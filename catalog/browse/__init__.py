"""Lists of products with their labels: criteria, pages, API, and the counts of the start page.

For the catalogue's faces and `interchange`, and for the classifier; `fetching` beside it does not know it.
"""

"""The words of products' texts: the index that PostgreSQL's triggers keep, and the queries on it.

For every package above it; `pictures` beside it does not know it.
"""

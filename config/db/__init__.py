"""The database as every app uses it: paging, bulk rows, time limits of statements, reconnecting.

For both apps; it imports neither.
"""

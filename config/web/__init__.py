"""What pages, API calls and admin lists share: problems, parsing, parameters, pages, permissions, security.

For both apps; it imports neither.
"""

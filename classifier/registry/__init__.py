"""Model versions: from an artefact's folder to a row, loading, verifying and cleaning.

For every package above the tables.
"""

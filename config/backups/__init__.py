"""A backup: a folder with the database, the media storage and the artefacts as they were, and their hashes.

For the commands `backup` and `restore`. Knows no app: which tables may be left out is said by whoever calls.
"""


class BackupError(Exception):
    """A backup cannot be made, or cannot be restored here; the message says what was expected and what came."""

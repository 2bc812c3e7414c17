"""The database's clock, the only one that all machines read alike: whatever is compared between them is told by it."""

from datetime import datetime

from django.db import connection
from django.utils import timezone


def get_database_time() -> datetime:
    """Return the database's present time; one query on PostgreSQL, none on SQLite, which has this machine's clock."""
    if connection.vendor != "postgresql":
        return timezone.now()
    with connection.cursor() as cursor:
        cursor.execute("SELECT statement_timestamp()")
        (now,) = cursor.fetchone()
    return now

"""How long a statement of the site may take: set by its entry points, and by nothing else."""

from collections.abc import Iterator
from contextlib import contextmanager

from django.conf import settings
from django.db import connection, connections, transaction

# PostgreSQL's code for a statement that was ended from outside.
QUERY_CANCELED = "57014"


def limit_web_statements() -> None:
    """Let PostgreSQL end every statement of this process's new connections after WEB_STATEMENT_SECONDS, and merge none.

    A page has some rows of a list. Of one that begins late, as the newest products', a merge reads the other table from
    its beginning: 9,500,000 rows of it in 1.9 s, where looking up 51 takes 0.1 ms. Called by `config.wsgi` alone:
    workers and commands may take their time. Does nothing on SQLite, when the setting is 0, and behind a pooler, which
    says itself what a connection starts with.
    """
    milliseconds = round(settings.WEB_STATEMENT_SECONDS * 1000)
    for database in connections.settings.values():
        options = database["OPTIONS"].get("options", "")
        is_postgresql = database["ENGINE"] == "django.db.backends.postgresql"
        if is_postgresql and milliseconds and options and "statement_timeout" not in options:
            limits = f"-c statement_timeout={milliseconds} -c enable_mergejoin=off"
            database["OPTIONS"]["options"] = f"{options} {limits}"


@contextmanager
def allow_long_statements() -> Iterator[None]:
    """Let the block's statements take their time: for work on a whole table that a person asked for on purpose.

    The block is a transaction on PostgreSQL, whose end takes the setting with it: behind a pooler the connection is the
    next moment somebody else's. Inside another transaction it lasts to the end of that one.
    """
    if connection.vendor != "postgresql":
        yield
        return
    with transaction.atomic():
        with connection.cursor() as cursor:
            cursor.execute("SET LOCAL statement_timeout = 0")
        yield


def is_statement_timeout(error: BaseException | None) -> bool:
    """Return whether the database ended a statement because it took too long."""
    return getattr(error.__cause__, "pgcode", None) == QUERY_CANCELED if error is not None else False

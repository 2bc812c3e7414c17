"""How long a statement of the site may take: set by its entry points, and by nothing else."""

from collections.abc import Iterator
from contextlib import contextmanager

from django.conf import settings
from django.db import connection, connections

# PostgreSQL's code for a statement that was ended from outside.
QUERY_CANCELED = "57014"


def limit_web_statements() -> None:
    """Let PostgreSQL end every statement of this process's new connections after WEB_STATEMENT_SECONDS.

    Called by `config.wsgi` alone: workers and commands may take their time. Does nothing on SQLite, when the setting is
    0, and when the URL says which options a connection starts with (a pooler may refuse any).
    """
    database = connections.settings["default"]
    options = database["OPTIONS"].get("options", "")
    if database["ENGINE"] != "django.db.backends.postgresql" or not settings.WEB_STATEMENT_SECONDS or not options:
        return
    if "statement_timeout" not in options:
        milliseconds = round(settings.WEB_STATEMENT_SECONDS * 1000)
        database["OPTIONS"]["options"] = f"{options} -c statement_timeout={milliseconds}"


@contextmanager
def allow_long_statements() -> Iterator[None]:
    """Let the block's statements take their time: for work on a whole table that a person asked for on purpose.

    On the present connection only; the end of an inner block ends it for the outer one. After an error the connection
    is closed, so that no other request inherits it.
    """
    if connection.vendor != "postgresql":
        yield
        return
    with connection.cursor() as cursor:
        cursor.execute("SET statement_timeout = 0")
    try:
        yield
    except BaseException:
        if not connection.in_atomic_block:  # else the transaction's end takes the setting with it
            connection.close()
        raise
    with connection.cursor() as cursor:
        cursor.execute("RESET statement_timeout")


def is_statement_timeout(error: BaseException | None) -> bool:
    """Return whether the database ended a statement because it took too long."""
    return getattr(error.__cause__, "pgcode", None) == QUERY_CANCELED if error is not None else False

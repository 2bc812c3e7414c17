"""Waiting for a database that is away for a moment, with the work in hand."""

import logging
import time
from collections.abc import Callable
from typing import TypeVar

from django.conf import settings
from django.db import DatabaseError, Error, InterfaceError, OperationalError, connection

logger = logging.getLogger(__name__)

# DatabaseError itself, not its other subclasses: psycopg2 raises it for a connection that ends within a statement.
UNREACHABLE_ERRORS = (DatabaseError, OperationalError, InterfaceError)
PAUSE_SECONDS = 0.5

Result = TypeVar("Result")


def is_unreachable(error: BaseException | None) -> bool:
    """Whether the error says that the database is away or busy, and not that a statement is wrong."""
    return type(error) in UNREACHABLE_ERRORS


def retry_while_unreachable(operation: Callable[[], Result]) -> Result:
    """Return what `operation` returns; while the database is away, wait and call it again on a new connection.

    `operation` must be safe to repeat, since nobody knows whether the try that failed was committed. Raises the
    database's error when LABELLING_RECONNECT_SECONDS have passed since the first, and at once inside a transaction.
    """
    deadline = None
    while True:
        try:
            return operation()
        except Error as error:
            # Not from when it was called: what asks a network first may take longer than that by itself.
            deadline = deadline or time.monotonic() + settings.LABELLING_RECONNECT_SECONDS
            if not is_unreachable(error) or connection.in_atomic_block or time.monotonic() >= deadline:
                raise
            logger.warning("database not reachable, trying again: %s", error)
        connection.close()
        time.sleep(PAUSE_SECONDS)

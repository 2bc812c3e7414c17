"""Waiting for a database that is away for a moment, with the work in hand."""

import logging
import time
from collections.abc import Callable
from typing import TypeVar

from django.conf import settings
from django.db import InterfaceError, OperationalError, connection

logger = logging.getLogger(__name__)

UNREACHABLE_ERRORS = (OperationalError, InterfaceError)
PAUSE_SECONDS = 0.5

Result = TypeVar("Result")


def retry_while_unreachable(operation: Callable[[], Result]) -> Result:
    """Return what `operation` returns; while the database is away, wait and call it again on a new connection.

    `operation` must be safe to repeat, since nobody knows whether the try that failed was committed. Raises the
    database's error when LABELLING_RECONNECT_SECONDS have passed, and at once inside a transaction.
    """
    deadline = time.monotonic() + settings.LABELLING_RECONNECT_SECONDS
    while True:
        try:
            return operation()
        except UNREACHABLE_ERRORS as error:
            if connection.in_atomic_block or time.monotonic() >= deadline:
                raise
            logger.warning("database not reachable, trying again: %s", error)
        connection.close()
        time.sleep(PAUSE_SECONDS)

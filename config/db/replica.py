"""Lists of readers from a copy of the database, for as long as the copy is not far behind."""

import logging
import threading
import time
from typing import Final

from django.conf import settings
from django.db import DEFAULT_DB_ALIAS, Error, connections
from django.http import HttpRequest

logger = logging.getLogger(__name__)

REPLICA: Final = "replica"
#: How long an answer to how far it is behind holds, and how long one that is away is left alone.
_CHECKED_SECONDS: Final = 1.0
_LEFT_ALONE_SECONDS: Final = 10.0

_lock = threading.Lock()
_asks_again_at = 0.0
_is_near = False


def find_reading_database(request: HttpRequest) -> str:
    """Return the database from which a list is read for this reader: the copy's, or the one that is written.

    Whoever is signed in reads what they wrote a moment ago. For others the copy is at most REPLICA_LAG_SECONDS behind,
    and a second more: so long an answer to that holds.
    """
    if REPLICA not in settings.DATABASES or request.user.is_authenticated:
        return DEFAULT_DB_ALIAS
    return REPLICA if _is_near_enough() else DEFAULT_DB_ALIAS


def _is_near_enough() -> bool:
    global _asks_again_at, _is_near
    # One asks; meanwhile the others go by what was known, for a copy that has vanished answers late.
    if not _lock.acquire(blocking=False):
        return _is_near
    try:
        if time.monotonic() >= _asks_again_at:
            try:
                lag = measure_lag()
                _is_near, pause = lag <= settings.REPLICA_LAG_SECONDS, _CHECKED_SECONDS
                if not _is_near:
                    logger.warning("the database's copy is %.0f s behind, lists are read from the database", lag)
            except Error as error:
                connections[REPLICA].close()
                _is_near, pause = False, _LEFT_ALONE_SECONDS
                logger.warning("the database's copy is away, lists are read from the database: %s", str(error).strip())
            _asks_again_at = time.monotonic() + pause
        return _is_near
    finally:
        _lock.release()


def measure_lag() -> float:
    """Return by how many seconds the copy is behind: none where it has all that was written until now."""
    with connections[DEFAULT_DB_ALIAS].cursor() as cursor:
        cursor.execute("SELECT pg_current_wal_lsn()")
        (written,) = cursor.fetchone()
    with connections[REPLICA].cursor() as cursor:
        cursor.execute(
            """SELECT CASE WHEN NOT pg_is_in_recovery() OR pg_last_wal_replay_lsn() >= %s::pg_lsn THEN 0
               ELSE coalesce(extract(epoch FROM clock_timestamp() - pg_last_xact_replay_timestamp()), 1e9) END""",
            [written],
        )
        return float(cursor.fetchone()[0])

"""Counts that read much, each made anew by one request while the others are shown the one before."""

import logging
from collections.abc import Callable
from math import inf
from time import monotonic, time
from typing import Any

from django.core.cache import cache
from django.db import OperationalError

from config.db.statements import is_statement_timeout

logger = logging.getLogger(__name__)

# Of a count that somebody else is making, the one before is shown meanwhile; one who died while counting is replaced
# after this time.
COUNTING_SECONDS = 30


def get_cached_count(
    key: str,
    *,
    count: Callable[[Any], Any],
    is_current: Callable[[Any], bool] = lambda value: True,
    fresh_seconds: float,
    fresh_times: float,
    fresh_at_most: float = inf,
    timeout_seconds: float,
) -> Any:
    """Return what `count` counted a moment ago if that is fresh enough or somebody counts now, else what it counts now.

    A count is fresh for `fresh_seconds`, and for `fresh_times` as long as it took, so that it never takes more than
    that part of a process; but not for more than `fresh_at_most` seconds. `count` is given what it counted before, or
    None, and returns what JSON knows. What `is_current` refuses is never shown. Nothing stays longer than
    `timeout_seconds`.
    """
    cached = cache.get(key)
    if cached is not None and not is_current(cached["value"]):
        cached = None
    counting = f"{key}-counting"
    if cached is not None and (time() < cached["fresh_until"] or not cache.add(counting, True, COUNTING_SECONDS)):
        return cached["value"]
    started = monotonic()
    value = count(cached["value"] if cached is not None else None)
    fresh_until = time() + min(fresh_at_most, max(fresh_seconds, fresh_times * (monotonic() - started)))
    cache.set(key, {"value": value, "fresh_until": fresh_until}, timeout_seconds)
    if cached is not None:
        cache.delete(counting)
    return value


def count_or_keep(count: Callable[[], Any], known: Any, *, what: str) -> Any:
    """Return what `count` counts, or what was known if the database ended the counting; `what` is for the log."""
    try:
        return count()
    except OperationalError as error:
        if not is_statement_timeout(error):
            raise
        logger.warning("counting %s took longer than a page's statement may", what)
        return known

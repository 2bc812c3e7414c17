"""Counts that read much, made by one request for many."""

from collections.abc import Callable
from math import inf
from time import monotonic, time
from typing import Any

from django.core.cache import cache

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


def forget_cached_count(key: str) -> None:
    """Let what stands under the key be counted anew."""
    cache.delete(key)

"""The cache that the processes of the site share through Redis; without Redis each has its own."""

import json
import logging
import time
from collections.abc import Mapping
from typing import Any, ClassVar

from django.core.cache import cache as default_cache
from django.core.cache.backends.base import BaseCache
from django.core.cache.backends.redis import RedisCache, RedisCacheClient
from redis import Redis
from redis.backoff import NoBackoff
from redis.exceptions import RedisError
from redis.retry import Retry

logger = logging.getLogger(__name__)

TIMEOUT_SECONDS = 1.0
# A Redis that did not answer is not asked again for so long, so that it costs one request a moment and not each.
PAUSE_SECONDS = 5.0
#: Options of a client that tries once and does not wait for long.
IMPATIENT: Mapping[str, Any] = {
    "socket_connect_timeout": TIMEOUT_SECONDS,
    "socket_timeout": TIMEOUT_SECONDS,
    "retry": Retry(NoBackoff(), 0),
}


def count_up(key: str, *, seconds: int, cache: BaseCache = default_cache) -> int:
    """Return how often this was called with the key in the `seconds` that its first call began, this one included.

    In one step, so that calls at the same time cannot pass each other; 0 while the cache is away.
    """
    cache.add(key, 0, timeout=seconds)
    try:
        return cache.incr(key)
    except ValueError:  # away, or full
        return 0


class JSONSerializer:
    """Values as JSON: whoever can write to Redis must not be able to run code here, as with Django's own pickles."""

    def dumps(self, value: Any) -> bytes | int:
        """Return the value's JSON; a whole number stays one, so that Redis can count with it."""
        return value if type(value) is int else json.dumps(value).encode()

    def loads(self, data: bytes) -> Any:
        return json.loads(data)


class ForgivingRedis(Redis):
    """A Redis that remembers nothing while it is away."""

    # Of the whole process, not of one thread's client.
    away_until: ClassVar[float] = 0.0

    def execute_command(self, *command: Any, **options: Any) -> Any:
        """Return Redis's answer, None while it is away; to count then raises `ValueError`, as without a number."""
        if time.monotonic() >= ForgivingRedis.away_until:
            try:
                return super().execute_command(*command, **options)
            except RedisError as error:
                logger.warning("the cache is not reachable, going on without: %s", type(error).__name__)
                ForgivingRedis.away_until = time.monotonic() + PAUSE_SECONDS
        if command[0] == "INCRBY":
            raise ValueError("Expected a cache that can be reached.")
        return None


class ForgivingCacheClient(RedisCacheClient):
    """Django's client on a `ForgivingRedis`, which is not waited for."""

    def __init__(self, servers: list[str], **options: Any) -> None:
        super().__init__(servers, **{"serializer": JSONSerializer, **IMPATIENT, **options})
        self._client = ForgivingRedis


class SharedCache(RedisCache):
    """Django's Redis cache beside the broker in one Redis: JSON, own keys only, and no error while it is away."""

    # One by one: Django's speak to Redis past `execute_command`, or need an answer from it.
    get_many, set_many = BaseCache.get_many, BaseCache.set_many

    def __init__(self, server: str, params: dict[str, Any]) -> None:
        super().__init__(server, params)
        self._class = ForgivingCacheClient

    def clear(self) -> None:
        """Forget every value of ours; Django's own would empty the broker as well. Raises `RedisError`."""
        client = Redis(connection_pool=self._cache.get_client(None, write=True).connection_pool)
        keys = list(client.scan_iter(match=f"{self.key_prefix}:*", count=1000))
        if keys:
            client.delete(*keys)

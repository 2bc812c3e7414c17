"""The cache that the processes of the site share through Redis; without Redis each has its own."""

import json
import logging
import time
from typing import Any, ClassVar

from django.core.cache.backends.redis import RedisCache, RedisCacheClient
from redis.backoff import NoBackoff
from redis.exceptions import RedisError
from redis.retry import Retry

logger = logging.getLogger(__name__)

TIMEOUT_SECONDS = 1.0
# A Redis that did not answer is not asked again for so long, so that it costs one request a moment and not each.
PAUSE_SECONDS = 5.0


class JSONSerializer:
    """Values as JSON: whoever can write to Redis must not be able to run code here, as with Django's own pickles."""

    def dumps(self, value: Any) -> bytes | int:
        """Return the value's JSON; a whole number stays one, so that Redis can count with it."""
        return value if type(value) is int else json.dumps(value).encode()

    def loads(self, data: bytes) -> Any:
        """Return the value."""
        return json.loads(data)


class ForgivingCacheClient(RedisCacheClient):
    """A client for which a Redis that is away is one that remembers nothing."""

    # Of the whole process, not of one thread's client.
    away_until: ClassVar[float] = 0.0

    def __init__(self, servers: list[str], **options: Any) -> None:
        options |= {"socket_connect_timeout": TIMEOUT_SECONDS, "socket_timeout": TIMEOUT_SECONDS}
        super().__init__(servers, retry=Retry(NoBackoff(), 0), **{"serializer": JSONSerializer, **options})

    def _ask(self, method: str, *arguments: Any, answer: Any = None) -> Any:
        """Return what the client's method returns, or `answer` while Redis is away."""
        if time.monotonic() < ForgivingCacheClient.away_until:
            return answer
        try:
            return getattr(super(), method)(*arguments)
        except RedisError as error:
            logger.warning("the cache is not reachable, going on without: %s", type(error).__name__)
            ForgivingCacheClient.away_until = time.monotonic() + PAUSE_SECONDS
            return answer

    def get(self, key: Any, default: Any) -> Any:
        """Return the value, or `default`."""
        return self._ask("get", key, default, answer=default)

    def get_many(self, keys: Any) -> Any:
        """Return the values that are there, by key."""
        return self._ask("get_many", keys, answer={})

    def has_key(self, key: Any) -> Any:
        """Return whether there is a value."""
        return self._ask("has_key", key, answer=False)

    def add(self, key: Any, value: Any, timeout: Any) -> Any:
        """Keep the value unless there is one; return whether it was kept."""
        return self._ask("add", key, value, timeout, answer=False)

    def set(self, key: Any, value: Any, timeout: Any) -> None:
        """Keep the value."""
        self._ask("set", key, value, timeout)

    def set_many(self, data: Any, timeout: Any) -> None:
        """Keep the values."""
        self._ask("set_many", data, timeout)

    def touch(self, key: Any, timeout: Any) -> Any:
        """Keep the value for longer; return whether there is one."""
        return self._ask("touch", key, timeout, answer=False)

    def incr(self, key: Any, delta: Any) -> Any:
        """Add to a whole number in one step and return the sum; raise `ValueError` if there is none."""
        value = self._ask("incr", key, delta)
        if value is None:
            raise ValueError(f"Expected a number under the key {key!r}; found none.")
        return value

    def delete(self, key: Any) -> Any:
        """Forget the value; return whether there was one."""
        return self._ask("delete", key, answer=False)

    def delete_many(self, keys: Any) -> None:
        """Forget the values."""
        self._ask("delete_many", keys)


class SharedCache(RedisCache):
    """Django's Redis cache beside the broker in one Redis: JSON, own keys only, and no error while it is away."""

    def __init__(self, server: str, params: dict[str, Any]) -> None:
        super().__init__(server, params)
        self._class = ForgivingCacheClient

    def clear(self) -> None:
        """Forget every value of ours; Django's own would empty the broker as well."""
        client = self._cache.get_client(None, write=True)
        keys = list(client.scan_iter(match=f"{self.key_prefix}:*", count=1000))
        if keys:
            client.delete(*keys)

"""A Redis that answers and writes nothing: what it is after a fail-over, or when it is full."""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager

import redis

Harm = Callable[[str], AbstractContextManager[None]]


@contextmanager
def turn_into_replica(url: str) -> Iterator[None]:
    """Make the server a replica of nobody while the block runs: it keeps what it has, and is read-only."""
    client = redis.Redis.from_url(url)
    client.replicaof("127.0.0.1", 1)
    yield
    client.replicaof("NO", "ONE")


@contextmanager
def fill_up(url: str) -> Iterator[None]:
    """Leave the server no memory for anything new while the block runs."""
    client = redis.Redis.from_url(url)
    client.config_set("maxmemory", 1)
    yield
    client.config_set("maxmemory", 0)


@contextmanager
def fill_up_and_empty(url: str) -> Iterator[None]:
    """Do as `fill_up` does, and let the server lose everything in the end."""
    with fill_up(url):
        yield
        redis.Redis.from_url(url).flushall()

"""What the tests of the hosts' limits share: a Redis that knows of no host yet, and what it was asked."""

from collections.abc import Iterator

import pytest
import redis
from django.conf import settings as django_settings

from catalog.fetching.shared_host_limits import KEY_PREFIX

HOST = "shop.example"
NOBODY = "redis://127.0.0.1:1/0"
# One request at once, and none after that while a test lasts.
ONE_AN_HOUR = 1 / 3_600


@pytest.fixture
def server() -> Iterator[redis.Redis]:
    """The Redis of this run, without what an earlier test left there about hosts."""
    client = redis.Redis.from_url(django_settings.REDIS_URL, decode_responses=True)
    _forget_hosts(client)
    yield client
    _forget_hosts(client)


def _forget_hosts(client: redis.Redis) -> None:
    for key in client.scan_iter(f"{KEY_PREFIX}*"):
        client.delete(key)


def count_scripts(client: redis.Redis) -> int:
    """Return how many scripts the server has run."""
    statistics = client.info("commandstats")
    return sum(statistics.get(f"cmdstat_{name}", {}).get("calls", 0) for name in ("eval", "evalsha"))

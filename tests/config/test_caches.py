"""The cache that the site's processes share, and what happens while it is away."""

import socket
import time
from collections.abc import Iterator
from typing import Any

import pytest
import redis
from django.conf import settings as django_settings
from django.core.cache import cache, caches
from django.test import Client

from catalog.models import Product
from classifier.models import LabellingRun
from config.caches import TIMEOUT_SECONDS, ForgivingRedis
from tests.support.fakes import create_model_version
from tests.support.members import sign_in

pytestmark = pytest.mark.both_databases


@pytest.fixture
def away(settings: Any) -> Iterator[None]:
    """Point the cache at a port where nobody listens."""
    settings.CACHES = {"default": {"BACKEND": "config.caches.SharedCache", "LOCATION": "redis://127.0.0.1:1/0"}}
    ForgivingRedis.away_until = 0.0
    yield
    ForgivingRedis.away_until = 0.0


@pytest.mark.redis
def test_processes_share_what_is_cached_as_json() -> None:
    other = caches.create_connection("default")
    cache.set("progress", {"done": 3, "rate": 0.5, "names": ["a"]}, 60)
    assert other.get("progress") == {"done": 3, "rate": 0.5, "names": ["a"]}
    assert (cache.add("count", 0, 60), other.add("count", 7, 60)) == (True, False)
    assert (cache.incr("count"), other.incr("count")) == (1, 2)
    stored = redis.Redis.from_url(django_settings.REDIS_URL).get("catalogue-cache:1:progress")
    assert stored == b'{"done": 3, "rate": 0.5, "names": ["a"]}'


@pytest.mark.redis
def test_clearing_the_cache_leaves_the_broker_alone() -> None:
    broker = redis.Redis.from_url(django_settings.REDIS_URL)
    broker.set("a-message", "1")
    cache.set("name", "value", 60)
    cache.clear()
    assert (cache.get("name"), broker.get("a-message")) == (None, b"1")
    broker.delete("a-message")


@pytest.mark.usefixtures("away")
def test_a_cache_that_is_away_remembers_nothing_and_fails_nobody() -> None:
    cache.set("name", "value", 60)
    assert cache.get("name", "nothing") == "nothing"
    assert cache.get_many(["name"]) == {}
    assert cache.add("name", "value", 60) is False
    assert (cache.has_key("name"), cache.touch("name", 60), cache.delete("name")) == (False, False, False)
    cache.set_many({"name": "value"}, 60)
    cache.delete_many(["name"])
    with pytest.raises(ValueError, match="not found"):
        cache.incr("name")


@pytest.mark.usefixtures("away")
def test_a_cache_that_is_away_is_not_asked_each_time(monkeypatch: pytest.MonkeyPatch) -> None:
    asked = []
    connect = redis.Connection.connect

    def count(self: redis.Connection) -> None:
        asked.append(self.port)
        connect(self)

    monkeypatch.setattr(redis.Connection, "connect", count)
    for _ in range(3):
        cache.get("name")
    assert asked == [1]


@pytest.mark.redis
def test_a_cache_that_hangs_holds_a_call_for_a_second_and_the_next_ones_not_at_all(settings: Any) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = f"redis://127.0.0.1:{silent.getsockname()[1]}/0"
        settings.CACHES = {"default": {"BACKEND": "config.caches.SharedCache", "LOCATION": url}}
        ForgivingRedis.away_until = 0.0
        started = time.monotonic()
        assert cache.get("name", "nothing") == "nothing"
        first = time.monotonic()
        assert cache.get("name", "nothing") == "nothing"
        last = time.monotonic()
        ForgivingRedis.away_until = 0.0
    assert TIMEOUT_SECONDS <= first - started < 3 * TIMEOUT_SECONDS
    assert last - first < 0.5 * TIMEOUT_SECONDS


@pytest.mark.redis
def test_a_cache_that_goes_away_between_two_commands_counts_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    cache.set("count", 1, 60)

    def go_away(*_arguments: object) -> bool:
        ForgivingRedis.away_until = time.monotonic() + 60
        return True

    monkeypatch.setattr(ForgivingRedis, "exists", go_away)
    try:
        with pytest.raises(ValueError, match="can be reached"):
            cache.incr("count")
    finally:
        ForgivingRedis.away_until = 0.0


@pytest.mark.redis
def test_several_values_at_once() -> None:
    cache.set_many({"a": 1, "b": [2]}, 60)
    assert cache.get_many(["a", "b", "c"]) == {"a": 1, "b": [2]}
    cache.delete_many(["a", "b"])
    assert cache.get_many(["a", "b"]) == {}


@pytest.mark.django_db
@pytest.mark.usefixtures("away")
def test_the_site_reads_and_starts_runs_while_the_cache_is_away(client: Client) -> None:
    create_model_version()
    Product.objects.create(title="Shirt")
    sign_in(client, "add_labellingrun")
    assert client.get("/api/v1/products/").json()["results"][0]["title"] == "Shirt"
    assert client.post("/api/v1/labelling-runs/", {}, content_type="application/json").status_code == 202
    assert LabellingRun.objects.count() == 1

"""A host's rate, failures and pause, known to all processes through one Redis, and to each alone without it."""

import logging
import signal
import subprocess
import sys
from typing import Any

import pytest
from django.conf import settings as django_settings

from catalog.fetching.host_limits import HostLimits, Rest
from catalog.fetching.shared_host_limits import KEY_PREFIX, SharedHostLimits
from tests.support.host_limits import HOST, NOBODY, ONE_AN_HOUR, count_scripts, server
from tests.support.servers import start_redis

__all__ = ["server"]

# Another process: argument 1 is the server, 2 the longest wait; prints how many of fifty turns it was given.
TAKE_FIFTY_TURNS = """
import sys
from catalog.fetching.host_limits import HostLimits
from catalog.fetching.shared_host_limits import SharedHostLimits

limits = SharedHostLimits(HostLimits(get_rate=lambda host: 1 / 3600), redis_url=sys.argv[1])
most = float(sys.argv[2])
print(sum(limits.take_turn("shop.example", most_seconds=most) <= most for _ in range(50)))
"""


class Clock:
    """A process's clock that is set by hand."""

    seconds = 1_000.0

    def __call__(self) -> float:
        return self.seconds


@pytest.fixture
def clock() -> Clock:
    return Clock()


def build(clock: Clock, *, url: str | None = None, rate: float = 10.0, **options: Any) -> SharedHostLimits:
    """Return the limits of one process, with connections of their own."""
    own = HostLimits(get_rate=lambda host: rate, clock=clock, **options)
    return SharedHostLimits(own, redis_url=django_settings.REDIS_URL if url is None else url, clock=clock)


# --- the rate ---------------------------------------------------------------------------------------------------------


@pytest.mark.redis
@pytest.mark.usefixtures("server")
def test_two_processes_together_get_what_one_would():
    # One turn at once, and eleven in as many hours.
    command = [sys.executable, "-c", TAKE_FIFTY_TURNS, django_settings.REDIS_URL, str(11.5 * 3_600)]

    processes = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True) for _ in range(2)]

    counts = [int(process.communicate(timeout=60)[0]) for process in processes]
    assert sum(counts) == 12


@pytest.mark.redis
@pytest.mark.usefixtures("server")
def test_bucket_gives_its_burst_at_once_and_then_the_rate(clock, monkeypatch):
    monkeypatch.setattr("catalog.fetching.shared_host_limits.get_burst", lambda rate: 3.0)
    one, other = build(clock, rate=ONE_AN_HOUR), build(clock, rate=ONE_AN_HOUR)
    waits = [limits.take_turn(HOST, most_seconds=100_000) for _ in range(3) for limits in (one, other)]
    assert waits == pytest.approx([0, 0, 0, 3_600, 7_200, 10_800], abs=60)
    assert other.take_turn("other.example", most_seconds=0) == 0.0


@pytest.mark.redis
def test_wait_that_is_too_long_is_not_counted(clock, server):
    one, other = build(clock, rate=ONE_AN_HOUR), build(clock, rate=ONE_AN_HOUR)
    assert one.take_turn(HOST, most_seconds=0) == 0.0
    before = server.hgetall(KEY_PREFIX + HOST)
    waits = [other.take_turn(HOST, most_seconds=60) for _ in range(3)]
    assert waits == pytest.approx([3_600] * 3, abs=60)
    assert server.hgetall(KEY_PREFIX + HOST) == before


@pytest.mark.redis
def test_full_bucket_is_forgotten(clock, server):
    limits = build(clock, rate=0.5)
    limits.take_turn(HOST, most_seconds=0)
    assert 0 < server.pttl(KEY_PREFIX + HOST) <= 2_000


def test_without_a_rate_redis_is_not_asked(clock, caplog):
    limits = build(clock, url=NOBODY, rate=0.0)
    assert [limits.take_turn(HOST, most_seconds=0) for _ in range(100)] == [0.0] * 100
    for _ in range(5):
        limits.record_failure(HOST, code="timeout")
    assert limits.take_turn(HOST, most_seconds=0) == Rest(code="timeout", seconds=60.0)
    limits.record_success(HOST)
    assert caplog.records == []


# --- the circuit breaker ----------------------------------------------------------------------------------------------


@pytest.mark.redis
def test_failures_in_one_process_let_the_host_rest_in_all(clock, server):
    one, other = build(clock), build(clock)
    for limits in (one, other, one, other):
        limits.record_failure(HOST, code="timeout")
    assert other.take_turn(HOST, most_seconds=0) == 0.0
    one.record_failure(HOST, code="connect_error")

    rest = other.take_turn(HOST, most_seconds=0)

    assert (rest.code, rest.is_probed) == ("connect_error", False)
    assert 50 < rest.seconds <= 60
    # Both know by now, and neither asks again.
    before = count_scripts(server)
    assert one.find_rest(HOST).code == other.find_rest(HOST).code == "connect_error"
    assert isinstance(one.take_turn(HOST, most_seconds=0), Rest)
    assert isinstance(other.take_turn(HOST, most_seconds=0), Rest)
    assert count_scripts(server) == before
    assert other.take_turn("other.example", most_seconds=0) == 0.0


@pytest.mark.redis
@pytest.mark.usefixtures("server")
def test_silent_url_counts_once_in_all_processes(clock):
    one, other = build(clock, failures_before_rest=3), build(clock, failures_before_rest=3)
    for limits in (one, other, one, other):
        limits.record_failure(HOST, code="timeout", silent_url="http://shop.example/1.jpg", retry_after_seconds=5_000)
    one.record_failure(HOST, code="timeout", silent_url="http://shop.example/2.jpg")
    assert other.take_turn(HOST, most_seconds=0) == 0.0
    one.record_success(HOST)
    for number in (2, 1):
        other.record_failure(HOST, code="timeout", silent_url=f"http://shop.example/{number}.jpg")
    assert one.take_turn(HOST, most_seconds=0) == 0.0

    other.record_failure(HOST, code="timeout", silent_url="http://shop.example/3.jpg")

    assert 50 < one.take_turn(HOST, most_seconds=0).seconds <= 60


@pytest.mark.redis
@pytest.mark.usefixtures("server")
def test_success_in_one_process_forgets_the_failures_of_all(clock):
    one, other = build(clock), build(clock)
    for _ in range(4):
        one.record_failure(HOST, code="timeout")
    other.take_turn(HOST, most_seconds=0)
    other.record_success(HOST)
    for _ in range(4):
        one.record_failure(HOST, code="timeout")
    assert other.take_turn(HOST, most_seconds=0) == 0.0


@pytest.mark.redis
def test_success_of_a_host_without_failures_asks_nothing(clock, server):
    limits = build(clock)
    before = count_scripts(server)
    for _ in range(5):
        limits.take_turn(HOST, most_seconds=0)
        limits.record_success(HOST)
    assert count_scripts(server) == before + 5


@pytest.mark.redis
def test_one_process_tries_a_host_that_rested(clock, server):
    one, other, third = build(clock), build(clock), build(clock)
    for _ in range(5):
        one.record_failure(HOST, code="timeout")
    server.hset(KEY_PREFIX + HOST, "rests_until", 0)
    clock.seconds += 60

    assert one.take_turn(HOST, most_seconds=0) == 0.0
    waiting = other.take_turn(HOST, most_seconds=0)
    assert (waiting.code, waiting.is_probed) == ("timeout", True)
    assert 0 < waiting.seconds <= 10

    one.record_failure(HOST, code="timeout")
    assert [limits.take_turn(HOST, most_seconds=0).is_probed for limits in (one, other, third)] == [False] * 3

    server.hset(KEY_PREFIX + HOST, "rests_until", 0)
    clock.seconds += 60
    assert other.take_turn(HOST, most_seconds=0) == 0.0
    assert third.take_turn(HOST, most_seconds=0).is_probed
    other.record_success(HOST)
    assert [limits.take_turn(HOST, most_seconds=0) for limits in (one, other, third)] == [0.0] * 3


@pytest.mark.redis
def test_next_process_tries_when_the_first_never_says_what_came_of_it(clock, server):
    one, other = build(clock), build(clock)
    for _ in range(5):
        one.record_failure(HOST, code="timeout")
    server.hset(KEY_PREFIX + HOST, "rests_until", 0)
    clock.seconds += 60
    one.take_turn(HOST, most_seconds=0)
    assert other.take_turn(HOST, most_seconds=0).is_probed

    server.hset(KEY_PREFIX + HOST, "probed_until", 0)

    assert other.take_turn(HOST, most_seconds=0) == 0.0


@pytest.mark.redis
def test_pause_that_a_host_asks_for_holds_in_all_processes_and_outlives_a_success(clock, server):
    one, other = build(clock, failures_before_rest=2), build(clock, failures_before_rest=2)
    for limits in (one, other):
        limits.record_failure(HOST, code="rate_limited", retry_after_seconds=5_000)
    one.record_success(HOST)

    rest = other.take_turn(HOST, most_seconds=0)

    assert (rest.code, rest.is_probed) == ("rate_limited", False)
    assert 4_900 < rest.seconds <= 5_000
    assert 5_000_000 <= server.pttl(KEY_PREFIX + HOST) + 100_000 <= 6_000_000


@pytest.mark.redis
def test_failures_are_forgotten_after_a_while(clock, server):
    limits = build(clock)
    limits.record_failure(HOST, code="timeout")
    assert 500_000 < server.pttl(KEY_PREFIX + HOST) <= 601_000
    limits.take_turn(HOST, most_seconds=0)
    assert 500_000 < server.pttl(KEY_PREFIX + HOST) <= 601_000


# --- without Redis ----------------------------------------------------------------------------------------------------


def test_limits_of_the_process_hold_while_redis_is_away_and_that_is_said_once(clock, caplog):
    limits = build(clock, url=NOBODY, rate=2.0)
    waits = [limits.take_turn(HOST, most_seconds=60) for _ in range(4)]
    assert waits == [0.0, 0.0, 0.5, 1.0]
    for _ in range(5):
        limits.record_failure("down.example", code="timeout")
        clock.seconds += 6
    assert limits.take_turn("down.example", most_seconds=0) == Rest(code="timeout", seconds=54.0)
    clock.seconds += 60
    assert limits.take_turn("down.example", most_seconds=0) == 0.0
    assert limits.take_turn("down.example", most_seconds=0).is_probed
    limits.record_success("down.example")
    assert [(record.levelno, "by this process alone" in record.message) for record in caplog.records] == [
        (logging.WARNING, True)
    ]


@pytest.mark.redis
def test_redis_that_comes_back_is_asked_again(clock, caplog):
    own_server = start_redis()
    try:
        one, other = (build(clock, url=own_server.url, rate=ONE_AN_HOUR) for _ in range(2))
        assert one.take_turn(HOST, most_seconds=0) == 0.0
        own_server.kill(signal.SIGKILL)
        # The process has not counted for itself what the server had counted.
        assert one.take_turn(HOST, most_seconds=0) == 0.0
        assert one.take_turn(HOST, most_seconds=0) > 3_500
        own_server.start()
        assert other.take_turn("other.example", most_seconds=0) == 0.0
        assert one.take_turn("other.example", most_seconds=0) == 0.0

        clock.seconds += 6

        assert one.take_turn("other.example", most_seconds=0) > 3_500
    finally:
        own_server.stop()
    assert [record.message for record in caplog.records] == [
        "hosts are limited by this process alone, Redis does not answer: ConnectionError",
        "hosts are limited by all processes together again",
    ]

"""How much is asked of a host at a time, how long a call takes, and what survives between calls."""

import asyncio
import os
import time

import pytest
from django.conf import settings as django_settings

from catalog.fetching import fetcher as fetching
from catalog.fetching.fetcher import fetch_pictures
from catalog.fetching.host_limits import HostLimits, Rest, normalise_host
from catalog.fetching.policy import FetchError, FetchPolicy
from catalog.fetching.responses import FetchRequest
from tests.support import make_images as make
from tests.support.fetching import code_of, fetch_one, make_fetcher, name_server, origin, shared_origin
from tests.support.image_origin import ORIGIN_ADDRESS, response, then_close

__all__ = ["make_fetcher", "origin", "shared_origin"]


class Clock:
    """A clock that is set by hand."""

    seconds = 1_000.0

    def __call__(self) -> float:
        return self.seconds


@pytest.fixture
def clock() -> Clock:
    return Clock()


# --- the limits themselves --------------------------------------------------------------------------------------------


def test_bucket_gives_a_second_of_requests_at_once_and_then_the_rate(clock):
    limits = HostLimits(get_rate=lambda host: 2.0, clock=clock)

    waits = [limits.reserve("shop.example", most_seconds=60) for _ in range(6)]

    assert waits == [0.0, 0.0, 0.5, 1.0, 1.5, 2.0]
    assert limits.reserve("other.example", most_seconds=60) == 0.0
    clock.seconds += 2.5
    assert limits.reserve("shop.example", most_seconds=60) == 0.0


def test_wait_that_is_too_long_is_not_counted(clock):
    limits = HostLimits(get_rate=lambda host: 1.0, clock=clock)
    for _ in range(3):
        limits.reserve("shop.example", most_seconds=2)

    assert [limits.reserve("shop.example", most_seconds=2) for _ in range(3)] == [3.0, 3.0, 3.0]


def test_rate_of_zero_is_no_limit(clock):
    limits = HostLimits(get_rate=lambda host: 0.0, clock=clock)

    assert {limits.reserve("shop.example", most_seconds=0) for _ in range(1_000)} == {0.0}


def test_host_rests_after_failures_in_a_row_and_is_tried_again(clock):
    limits = HostLimits(get_rate=lambda host: 0.0, failures_before_rest=3, rest_seconds=60, clock=clock)
    for _ in range(2):
        limits.record_failure("shop.example", code="timeout")
    limits.record_success("shop.example")
    for _ in range(2):
        limits.record_failure("shop.example", code="timeout")
    assert limits.find_rest("shop.example") is None

    limits.record_failure("shop.example", code="connect_error")

    assert limits.find_rest("shop.example") == Rest(code="connect_error", seconds=60.0)
    assert limits.find_rest("other.example") is None
    clock.seconds += 60
    assert limits.find_rest("shop.example") is None
    limits.record_failure("shop.example", code="timeout")
    assert limits.find_rest("shop.example") == Rest(code="timeout", seconds=60.0)


def test_one_request_tries_a_host_that_rested(clock):
    limits = HostLimits(
        get_rate=lambda host: 10.0, failures_before_rest=1, rest_seconds=60, probe_seconds=10, clock=clock
    )
    limits.record_failure("shop.example", code="timeout")
    assert limits.take_turn("shop.example", most_seconds=0) == Rest(code="timeout", seconds=60.0)

    clock.seconds += 60
    assert limits.take_turn("shop.example", most_seconds=0) == 0.0
    assert limits.take_turn("shop.example", most_seconds=0) == Rest(code="timeout", seconds=10.0, is_probed=True)
    limits.record_failure("shop.example", code="http_5xx")
    assert limits.take_turn("shop.example", most_seconds=0) == Rest(code="http_5xx", seconds=60.0)

    clock.seconds += 60
    assert limits.take_turn("shop.example", most_seconds=0) == 0.0
    clock.seconds += 10
    assert limits.take_turn("shop.example", most_seconds=0) == 0.0
    limits.record_success("shop.example")
    assert [limits.take_turn("shop.example", most_seconds=0) for _ in range(3)] == [0.0] * 3


@pytest.mark.parametrize(
    "spelling, name",
    [
        ("Shop.Example.", "shop.example"),
        ("127.1", "127.0.0.1"),
        ("0x7f000001", "127.0.0.1"),
        ("2001:DB8:0::1", "2001:db8::1"),
        ("x" * 300, "x" * 253),
    ],
)
def test_host_is_counted_under_one_name(spelling, name):
    assert normalise_host(spelling) == name


@pytest.mark.parametrize("asked_for,seconds", [(7, 60), (700, 700)])
def test_host_rests_for_as_long_as_it_asks_at_least(clock, asked_for, seconds):
    limits = HostLimits(get_rate=lambda host: 0.0, failures_before_rest=2, rest_seconds=60, clock=clock)

    limits.record_failure("shop.example", code="rate_limited", silent_url="/1", retry_after_seconds=asked_for)
    assert limits.find_rest("shop.example") is None
    limits.record_failure("shop.example", code="rate_limited", silent_url="/2", retry_after_seconds=asked_for)

    assert limits.find_rest("shop.example") == Rest(code="rate_limited", seconds=seconds)


def test_silent_url_counts_once_in_a_row(clock):
    limits = HostLimits(get_rate=lambda host: 0.0, failures_before_rest=2, rest_seconds=60, clock=clock)
    for _ in range(10):
        limits.record_failure("shop.example", code="timeout", silent_url="/1")
    assert limits.find_rest("shop.example") is None

    limits.record_success("shop.example")
    limits.record_failure("shop.example", code="timeout", silent_url="/2")
    assert limits.find_rest("shop.example") is None
    limits.record_failure("shop.example", code="timeout", silent_url="/1")

    assert limits.find_rest("shop.example") == Rest(code="timeout", seconds=60.0)
    clock.seconds += 60
    limits.record_failure("shop.example", code="timeout", silent_url="/1")
    assert limits.find_rest("shop.example") == Rest(code="timeout", seconds=60.0)


def test_hosts_with_nothing_to_remember_are_forgotten(clock):
    limits = HostLimits(get_rate=lambda host: 10.0, clock=clock)
    for _ in range(5):
        limits.record_failure("resting.example", code="timeout", retry_after_seconds=1_000)
    for number in range(5_000):
        limits.reserve(f"{number}.example", most_seconds=0)
        clock.seconds += 0.01

    assert len(limits._hosts) < 4_200
    assert limits.find_rest("resting.example") is not None


# --- the limits at work -----------------------------------------------------------------------------------------------


def test_host_sees_no_more_than_the_rate(make_fetcher, origin):
    urls = [origin.serve(f"/{number}.jpg", response(b"x")) for number in range(25)]
    started = time.monotonic()

    outcomes = make_fetcher(requests_per_second_per_host=10.0).fetch([FetchRequest(url) for url in urls])

    # Ten at once, and fifteen at ten a second.
    assert time.monotonic() - started >= 1.4
    assert [outcome.data for outcome in outcomes] == [b"x"] * 25


def test_turn_that_comes_too_late_fails_at_once_and_says_when(make_fetcher, origin):
    urls = [origin.serve(f"/{number}.jpg", response(b"x")) for number in range(4)]
    fetcher = make_fetcher(requests_per_second_per_host=1.0, most_wait_seconds=0.5)

    outcomes = fetcher.fetch([FetchRequest(url) for url in urls])

    late = [outcome for outcome in outcomes if isinstance(outcome, FetchError)]
    assert [code_of(outcome) for outcome in late] == ["rate_limited"] * 3
    assert all(outcome.retryable and 0.5 < outcome.retry_after_seconds <= 1.0 for outcome in late)
    assert len(origin.requests) == 1


def test_host_that_fails_is_left_alone_and_others_are_not(make_fetcher, origin):
    urls = [origin.serve(f"/{number}.jpg", then_close(b"")) for number in range(30)]
    good = origin.serve("/good.jpg", response(b"x")).replace(ORIGIN_ADDRESS, "good.example")
    fetcher = make_fetcher(lookup=name_server({"good.example": [ORIGIN_ADDRESS]}), connections_per_host=1)

    outcomes = fetcher.fetch([FetchRequest(url) for url in [*urls, good]])

    assert [code_of(outcome) for outcome in outcomes[:-1]] == ["connect_error"] * 30
    assert all(outcome.retryable for outcome in outcomes[:-1])
    assert outcomes[-1].data == b"x"
    asked = [path for path in origin.paths() if path != "/good.jpg"]
    # One failure may be asked twice: a reused connection that was closed meanwhile is tried again.
    assert len(asked) <= 10
    assert all(0 < outcome.retry_after_seconds <= 60 for outcome in outcomes[:-1] if outcome.retry_after_seconds)
    assert sum(outcome.retry_after_seconds is not None for outcome in outcomes[:-1]) >= 20


def test_connections_to_a_host_are_few(make_fetcher, origin):
    async def answer_late(_request, writer):
        await asyncio.sleep(0.02)
        writer.write(response(b"x"))

    urls = [origin.serve(f"/{number}.jpg", answer_late) for number in range(24)]

    outcomes = make_fetcher(connections_per_host=3).fetch([FetchRequest(url) for url in urls])

    assert [outcome.data for outcome in outcomes] == [b"x"] * 24
    assert origin.most_open == 3


def test_slow_host_does_not_hold_up_another(make_fetcher, origin):
    async def answer_after_the_others(_request, writer):
        while sum(path.startswith("/quick") for path in origin.paths()) < 20:
            await asyncio.sleep(0.01)
        writer.write(response(b"late"))

    slow = [origin.serve(f"/slow{number}.jpg", answer_after_the_others) for number in range(8)]
    quick = [origin.serve(f"/quick{number}.jpg", response(b"x")) for number in range(20)]
    quick = [url.replace(ORIGIN_ADDRESS, "quick.example") for url in quick]
    names = name_server({"quick.example": [ORIGIN_ADDRESS]})

    outcomes = make_fetcher(lookup=names, connections=4, connections_per_host=2).fetch(
        [FetchRequest(url) for url in [*slow, *quick]]
    )

    assert [outcome.data for outcome in outcomes] == [b"late"] * 8 + [b"x"] * 20
    assert sum(path.startswith("/slow") for path in origin.paths()[:22]) == 2


def test_call_ends_within_its_deadline(make_fetcher, origin):
    async def never_answer(_request, _writer):
        await asyncio.sleep(30)

    urls = [origin.serve(f"/{number}.jpg", never_answer) for number in range(40)]
    good = origin.serve("/good.jpg", response(b"x")).replace(ORIGIN_ADDRESS, "good.example")
    names = name_server({"good.example": [ORIGIN_ADDRESS]})
    fetcher = make_fetcher(batch_seconds=0.8, failures_before_rest=1_000, lookup=names)
    started = time.monotonic()

    outcomes = fetcher.fetch([FetchRequest(url) for url in [good, *urls]])

    assert time.monotonic() - started < 5
    assert outcomes[0].data == b"x"
    assert [(code_of(outcome), outcome.retryable) for outcome in outcomes[1:]] == [("timeout", True)] * 40


# --- results ----------------------------------------------------------------------------------------------------------


def test_outcomes_come_in_the_order_of_the_requests(make_fetcher, origin):
    async def answer_late(_request, writer):
        await asyncio.sleep(0.1)
        writer.write(response(b"late"))

    urls = [
        origin.serve("/late.jpg", answer_late),
        "ftp://shop.example/",
        origin.serve("/quick.jpg", response(b"quick")),
        origin.url("/1.jpg", host="127.0.0.1"),
        origin.url("/missing.jpg"),
        origin.url("/late.jpg"),
    ]

    outcomes = make_fetcher().fetch([FetchRequest(url) for url in urls])

    assert [o.code if isinstance(o, FetchError) else o.data for o in outcomes] == [
        b"late", "url_invalid", b"quick", "url_blocked", "http_4xx", b"late",
    ]  # fmt: skip


def test_unchanged_picture_is_not_sent_again(make_fetcher, origin):
    async def answer(request, writer):
        unchanged = request.headers.get("if-none-match") == '"v1"'
        status, body = ("304 Not Modified", b"") if unchanged else ("200 OK", make.jpeg())
        stamps = 'ETag: "v1"\r\nLast-Modified: Mon, 02 Nov 2026 10:00:00 GMT\r\n'
        writer.write(response(body, status=status, headers=stamps))

    url = origin.serve("/1.jpg", answer)
    fetcher = make_fetcher()

    first = fetch_one(fetcher, url)
    second = fetch_one(fetcher, url, etag=first.etag, last_modified=first.last_modified)

    assert (first.data, first.etag) == (make.jpeg(), '"v1"')
    assert (second.data, second.etag) == (None, '"v1"')
    assert second.last_modified == "Mon, 02 Nov 2026 10:00:00 GMT"
    assert origin.requests[1].headers["if-modified-since"] == "Mon, 02 Nov 2026 10:00:00 GMT"


def test_unchanged_picture_keeps_the_tag_that_was_asked_for(make_fetcher, origin):
    url = origin.serve("/1.jpg", then_close(b"HTTP/1.1 304 Not Modified\r\n\r\n"))

    outcome = fetch_one(make_fetcher(), url, etag='"v1"')

    assert (outcome.data, outcome.etag, outcome.last_modified) == (None, '"v1"', "")


@pytest.mark.parametrize("tag", ["x" * 256, "\xfc", "a\tb"])
def test_odd_tag_is_not_kept(make_fetcher, origin, tag):
    url = origin.serve("/1.jpg", response(b"x").replace(b"\r\n\r\n", f"\r\nETag: {tag}\r\n\r\n".encode("latin-1")))

    assert fetch_one(make_fetcher(), url).etag == ""


def test_error_says_no_address_and_nothing_of_the_answer(make_fetcher, origin):
    secret = then_close(b"HTTP/1.1 999999 secret-token\r\n\r\n")
    urls = [
        origin.serve("/1.jpg", secret),
        origin.serve("/2.jpg", response(b"secret-token", status="403 secret-token")),
        origin.url("/3.jpg", host="127.0.0.1"),
        origin.url("/4.jpg", host="nowhere.example"),
    ]

    outcomes = make_fetcher().fetch([FetchRequest(url) for url in urls])

    for outcome in outcomes:
        assert isinstance(outcome, FetchError)
        assert not any(word in str(outcome) for word in ("secret", "127.", str(origin.port), "nowhere"))
        assert (outcome.__cause__, outcome.__traceback__) == (None, None)


# --- the loop that stays ----------------------------------------------------------------------------------------------


@pytest.fixture
def opened_settings(origin, settings):
    settings.FETCH_ALLOWED_NETWORKS = [f"{ORIGIN_ADDRESS}/32"]
    settings.FETCH_ALLOWED_PORTS = [origin.port]
    settings.FETCH_REQUESTS_PER_SECOND_PER_HOST = 0.0


def test_settings_open_a_network_and_connections_stay_open_between_calls(opened_settings, origin):
    requests = [FetchRequest(origin.serve(f"/{number}.jpg", response(b"x"))) for number in range(3)]

    outcomes = [fetch_pictures([request])[0].data for request in requests]

    assert outcomes == [b"x"] * 3
    assert origin.connections <= 1
    assert fetch_pictures([]) == []


def test_settings_are_closed_by_default(origin):
    assert django_settings.FETCH_ALLOWED_NETWORKS == []
    url = origin.serve("/1.jpg", response(b"x"))

    (outcome,) = fetch_pictures([FetchRequest(url)], policy=FetchPolicy(allowed_ports=frozenset({origin.port})))

    assert (code_of(outcome), origin.connections) == ("url_blocked", 0)


def test_time_limit_goes_through_and_the_next_call_starts_afresh(opened_settings, origin, monkeypatch):
    class TimeLimitError(Exception):
        pass

    def run_out_of_time(*_arguments, **_options):
        raise TimeLimitError

    request = FetchRequest(origin.serve("/1.jpg", response(b"x")))
    with monkeypatch.context() as patch:
        patch.setattr(fetching, "read_body", run_out_of_time)
        with pytest.raises(TimeLimitError):
            fetch_pictures([request])

    assert fetch_pictures([request])[0].data == b"x"


def test_forked_child_has_a_loop_of_its_own(opened_settings, origin):
    request = FetchRequest(origin.serve("/1.jpg", response(b"x")))
    assert fetch_pictures([request])[0].data == b"x"
    connections = origin.connections

    child = os.fork()
    if child == 0:
        try:
            os._exit(0 if fetch_pictures([request])[0].data == b"x" else 1)
        finally:
            os._exit(2)
    _, status = os.waitpid(child, 0)

    assert os.waitstatus_to_exitcode(status) == 0
    assert fetch_pictures([request])[0].data == b"x"
    assert origin.connections == connections + 1

"""Fetchers that share the limits of hosts through one Redis, as the workers do, and what a host sees of them."""

import asyncio
import logging

import pytest
from django.conf import settings as django_settings

from catalog.fetching.policy import FetchPolicy
from catalog.fetching.responses import FetchRequest, FetchResult
from catalog.fetching.shared_host_limits import KEY_PREFIX
from tests.support.fetching import code_of, fetch_one, make_fetcher, name_server, origin, shared_origin
from tests.support.host_limits import HOST, NOBODY, ONE_AN_HOUR, count_scripts, server
from tests.support.image_origin import ORIGIN_ADDRESS, response, then_close

__all__ = ["make_fetcher", "origin", "server", "shared_origin"]


@pytest.fixture
def make_sharing_fetcher(make_fetcher, server):
    """Build fetchers that share the limits of hosts, each with connections of its own."""

    def build_fetcher(**options):
        names = name_server({host: [ORIGIN_ADDRESS] for host in (HOST, f"{HOST}.", "quick.example")})
        options = {"requests_per_second_per_host": 100.0, "lookup": names, **options}
        return make_fetcher(redis_url=django_settings.REDIS_URL, **options)

    return build_fetcher


@pytest.mark.redis
def test_host_sees_no_more_from_two_fetchers_than_from_one(make_sharing_fetcher, origin):
    requests = [FetchRequest(origin.serve(f"/{number}.jpg", response(b"x"))) for number in range(6)]
    one, other = (make_sharing_fetcher(requests_per_second_per_host=ONE_AN_HOUR) for _ in range(2))

    first, second = one.fetch(requests), other.fetch(requests)

    assert [outcome.data for outcome in first if isinstance(outcome, FetchResult)] == [b"x"]
    assert [code_of(outcome) for outcome in second] == ["rate_limited"] * 6
    assert all(outcome.retryable and 3_500 < outcome.retry_after_seconds <= 3_600 for outcome in second)
    assert len(origin.requests) == 1


@pytest.mark.redis
def test_one_host_has_one_limit_whatever_its_spelling(make_sharing_fetcher, origin):
    hosts = [HOST, f"{HOST}.", HOST.upper()]
    urls = [origin.serve("/1.jpg", response(b"x")).replace(ORIGIN_ADDRESS, host) for host in hosts]
    fetcher = make_sharing_fetcher(requests_per_second_per_host=ONE_AN_HOUR)

    outcomes = fetcher.fetch([FetchRequest(url) for url in urls])

    assert [outcome.data for outcome in outcomes if isinstance(outcome, FetchResult)] == [b"x"]
    assert len(origin.requests) == 1


@pytest.mark.redis
def test_fetch_costs_one_question_and_an_unlimited_one_none(make_sharing_fetcher, origin, server):
    requests = [FetchRequest(origin.serve(f"/{number}.jpg", response(b"x"))) for number in range(8)]
    limited, unlimited = make_sharing_fetcher(), make_sharing_fetcher(requests_per_second_per_host=0.0)
    limited.fetch(requests[:1])
    before = count_scripts(server)

    outcomes = limited.fetch(requests)

    assert count_scripts(server) == before + 8
    outcomes += unlimited.fetch(requests)
    assert count_scripts(server) == before + 8
    assert [outcome.data for outcome in outcomes] == [b"x"] * 16


@pytest.mark.redis
def test_host_that_fails_one_fetcher_is_left_alone_by_the_other(make_sharing_fetcher, origin):
    urls = [origin.serve(f"/{number}.jpg", then_close(b"")) for number in range(5)]
    good = origin.serve("/good.jpg", response(b"x"))
    one, other = make_sharing_fetcher(), make_sharing_fetcher()
    one.fetch([FetchRequest(url) for url in urls])
    asked = len(origin.requests)

    outcome = fetch_one(other, good)

    assert (code_of(outcome), outcome.retryable, len(origin.requests)) == ("connect_error", True, asked)
    assert fetch_one(other, good.replace(ORIGIN_ADDRESS, "quick.example")).data == b"x"


@pytest.mark.redis
def test_pictures_of_a_host_that_recovered_wait_for_its_trial(make_sharing_fetcher, origin, server):
    requests = [FetchRequest(origin.serve(f"/{number}.jpg", response(b"x"))) for number in range(6)]
    server.hset(KEY_PREFIX + ORIGIN_ADDRESS, mapping={"failures": 5, "rests_until": 0, "code": "timeout"})

    outcomes = make_sharing_fetcher().fetch(requests)

    assert [outcome.data for outcome in outcomes] == [b"x"] * 6
    assert server.hget(KEY_PREFIX + ORIGIN_ADDRESS, "failures") is None


@pytest.mark.redis
def test_host_that_never_answers_costs_the_others_nothing_after_its_first_failures(make_sharing_fetcher, origin):
    async def never_answer(_request, _writer):
        await asyncio.sleep(30)

    slow = [FetchRequest(origin.serve(f"/slow{number}.jpg", never_answer)) for number in range(16)]
    quick = [
        FetchRequest(origin.serve(f"/quick{number}.jpg", response(b"x")).replace(ORIGIN_ADDRESS, "quick.example"))
        for number in range(48)
    ]
    one, other = (make_sharing_fetcher(read_seconds=0.3) for _ in range(2))

    outcomes = one.fetch([*slow, *quick[:16]])

    assert [code_of(outcome) for outcome in outcomes[:16]] == ["timeout"] * 16
    # Four at a time, and the fifth failure ends it.
    assert len([path for path in origin.paths() if path.startswith("/slow")]) <= 8
    asked = len(origin.requests)
    for fetcher, pictures in ((one, quick[16:32]), (other, quick[32:])):
        outcomes += fetcher.fetch([*slow, *pictures])
    assert all(path.startswith("/quick") for path in origin.paths()[asked:])
    assert sum(getattr(outcome, "data", None) == b"x" for outcome in outcomes) == 48


def test_pictures_come_while_redis_is_away(make_fetcher, origin, caplog):
    requests = [FetchRequest(origin.serve(f"/{number}.jpg", response(b"x"))) for number in range(20)]
    fetcher = make_fetcher(requests_per_second_per_host=100.0, redis_url=NOBODY)

    outcomes = fetcher.fetch(requests)

    assert [outcome.data for outcome in outcomes] == [b"x"] * 20
    assert len([record for record in caplog.records if record.levelno >= logging.WARNING]) == 1


def test_policy_does_not_show_the_password_of_redis(settings):
    settings.REDIS_URL = "redis://:secret@localhost/0"

    assert "secret" not in repr(FetchPolicy.from_settings())
    assert FetchPolicy.from_settings().redis_url == settings.REDIS_URL

"""Rates of single hosts: what the setting says, and that a host with a rate of its own waits by it alone."""

from typing import Any

import pytest

from catalog.fetching.host_limits import HostLimits
from catalog.fetching.host_settings import find_host_rate, parse_host_rates
from catalog.fetching.policy import FetchPolicy


def test_a_host_a_domain_and_all_others_have_their_rates() -> None:
    rates = parse_host_rates('{".shop.example": 50, "CDN.shop.example": 200, "free.example": 0}')
    hosts = ("cdn.shop.example", "img.shop.example", "shop.example", "free.example", "other.example")
    assert [find_host_rate(rates, host, usual=10.0) for host in hosts] == [200, 50, 50, 0, 10]
    assert parse_host_rates("") == ()


@pytest.mark.parametrize(
    "text, expected",
    [
        ("x", "expected JSON"),
        ("[]", "expected an object with a member for each host"),
        ('{"http://a": 1}', "member 1: expected a host"),
        ('{"a.example": "10"}', "a.example: expected requests a second from 0, which is no limit, got '10'"),
        ('{"a.example": -1}', "got -1"),
        ('{"a.example": true}', "got True"),
        ('{"a.example": NaN}', "got nan"),
    ],
)
def test_what_is_no_rate_is_refused(text: str, expected: str) -> None:
    with pytest.raises(ValueError, match=expected):
        parse_host_rates(text)


def test_each_host_waits_by_its_own_rate(settings: Any) -> None:
    settings.FETCH_HOST_RATES = '{"cdn.example": 100, "free.example": 0}'
    settings.FETCH_REQUESTS_PER_SECOND_PER_HOST = 1.0
    limits = HostLimits(get_rate=FetchPolicy.from_settings().get_rate, clock=lambda: 0.0)
    waits = {
        host: [limits.reserve(host, most_seconds=10) for _ in range(101)] for host in ("cdn.example", "free.example")
    }
    assert (waits["cdn.example"][99], waits["cdn.example"][100]) == (0.0, pytest.approx(0.01))
    assert set(waits["free.example"]) == {0.0}
    assert [limits.reserve("slow.example", most_seconds=10) for _ in range(2)] == [0.0, 1.0]

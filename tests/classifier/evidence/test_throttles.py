"""How often a user may call what costs something."""

from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from django.contrib.auth.models import AnonymousUser, User
from django.core.cache import caches
from django.test import Client, RequestFactory
from rest_framework.request import Request
from rest_framework.settings import api_settings

from classifier.labelling.api import LabellingRunListView
from classifier.models import LabellingRun
from config.web.permissions import WriteThrottle
from tests.support.fakes import create_model_version
from tests.support.members import build_token_header, create_member, sign_in

ADDRESS = "/api/v1/labelling-runs/"
NOON = 1_800_000_000.0  # the beginning of a minute


@pytest.fixture(autouse=True)
def three_runs_a_minute(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(WriteThrottle, "THROTTLE_RATES", {"runs": "3/min"})
    monkeypatch.setattr(WriteThrottle, "timer", lambda _: NOON + 15)


def build_request(user: Any, **headers: str) -> Request:
    request = Request(RequestFactory().post(ADDRESS, **headers))
    request.user = user
    return request


@pytest.mark.django_db
def test_calls_beyond_the_rate_are_refused_until_the_next_minute(
    client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    create_model_version()
    sign_in(client, "add_labellingrun")
    answers = [client.post(ADDRESS, {}, content_type="application/json") for _ in range(4)]
    assert [answer.status_code for answer in answers] == [202, 202, 202, 429]
    assert (answers[-1].headers["Retry-After"], answers[-1].headers["Content-Type"]) == (
        "45",
        "application/problem+json",
    )
    assert LabellingRun.objects.count() == 3
    monkeypatch.setattr(WriteThrottle, "timer", lambda _: NOON + 60)
    assert client.post(ADDRESS, {}, content_type="application/json").status_code == 202


@pytest.mark.django_db
def test_a_spoofed_forwarding_header_changes_nothing() -> None:
    create_model_version()
    header = build_token_header(create_member("add_labellingrun"))
    statuses = [
        Client(headers=header | {"X-Forwarded-For": f"203.0.113.{number}"})
        .post(ADDRESS, {}, content_type="application/json")
        .status_code
        for number in range(5)
    ]
    assert statuses == [202, 202, 202, 429, 429]


@pytest.mark.parametrize("proxies, found", [(0, "192.0.2.7"), (1, "198.51.100.2"), (2, "203.0.113.9")])
def test_an_address_is_what_the_proxies_in_front_say_and_no_more(
    proxies: int, found: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert api_settings.NUM_PROXIES == 0
    monkeypatch.setattr(api_settings, "NUM_PROXIES", proxies)
    forwarded = "127.0.0.1, 203.0.113.9, 198.51.100.2"  # the first is what the caller made up
    request = build_request(AnonymousUser(), REMOTE_ADDR="192.0.2.7", HTTP_X_FORWARDED_FOR=forwarded)
    assert WriteThrottle().get_ident(request) == found


def test_calls_at_the_same_time_do_not_pass_each_other() -> None:
    view = LabellingRunListView()

    def call(_: int) -> bool:
        return WriteThrottle().allow_request(build_request(User(pk=1)), view)

    with ThreadPoolExecutor(20) as pool:
        allowed = list(pool.map(call, range(1000)))
    assert sum(allowed) == 3
    assert WriteThrottle().allow_request(build_request(User(pk=2)), view)


@pytest.mark.redis
def test_processes_count_together(monkeypatch: pytest.MonkeyPatch) -> None:
    view, allowed = LabellingRunListView(), []
    for _ in range(4):
        monkeypatch.setattr(WriteThrottle, "cache", caches.create_connection("default"))
        allowed.append(WriteThrottle().allow_request(build_request(User(pk=1)), view))
    assert allowed == [True, True, True, False]

"""The headers that an operator has us send to single hosts."""

import json
import logging
import shlex

import pytest

from catalog.fetching.host_settings import find_headers, parse_host_headers
from catalog.fetching.policy import FetchPolicy
from tests.support.fetching import fetch_one, make_fetcher, name_server, origin, shared_origin
from tests.support.image_origin import ORIGIN_ADDRESS, response, then_close
from tests.support.pages import read_block

__all__ = ["make_fetcher", "origin", "shared_origin"]

SECRET = "Bearer 0123456789"


def test_headers_are_those_of_the_host():
    text = json.dumps(
        {
            ".Shop.Example": {"Referer": "https://shop.example/", "X-Key": "1"},
            "cdn.shop.example": {"X-Key": "2"},
            "127.1": {"X-Local": "1"},
        }
    )
    headers = parse_host_headers(text)

    assert find_headers(headers, "cdn.shop.example") == {"Referer": "https://shop.example/", "X-Key": "2"}
    assert find_headers(headers, "shop.example") == {"Referer": "https://shop.example/", "X-Key": "1"}
    assert find_headers(headers, "127.0.0.1") == {"X-Local": "1"}
    assert find_headers(headers, "otherxshop.example") == find_headers(headers, "cdn.shop.example.evil.example") == {}
    assert parse_host_headers("") == ()


def test_headers_of_the_page_are_understood():
    (setting,) = shlex.split(read_block("operations.md", "export FETCH_HOST_HEADERS").removeprefix("export "))
    headers = parse_host_headers(setting.removeprefix("FETCH_HOST_HEADERS="))

    assert find_headers(headers, "cdn.shop.example")["Referer"] == "https://shop.example/"
    assert find_headers(headers, "a.images.example") == {"Authorization": "Bearer ..."}


@pytest.mark.parametrize(
    "hosts,message",
    [
        ("{", "expected JSON, got Expecting property name"),
        ([], "expected an object with a member for each host"),
        ({"a.example": {}, "https://cdn.example/": {}}, "member 2: expected a host as cdn.shop.example"),
        ({"cdn.example:443": {}}, "member 1: expected a host"),
        ({"*": {}}, "member 1: expected a host"),
        ({"": {}}, "member 1: expected a host"),
        ({"cdn.example": SECRET}, "cdn.example: expected an object of header names and values"),
        ({"cdn.example": {f"Authorization: {SECRET}": ""}}, "got a text of 32 characters that is none"),
        *(({"cdn.example": {name: "1"}}, f"not the fetcher's own affair, got {name}") for name in (
            "Host", "host", "Connection", "Content-Length", "Transfer-Encoding", "Accept-Encoding", "Range", "TE",
            "If-None-Match", "If-Range", "Expect", "Upgrade", "Keep-Alive", "Trailer", "Proxy-Authorization",
        )),
        *(({"cdn.example": {"X-Key": value}}, "the value of X-Key to be a text of printable ASCII") for value in (
            f"{SECRET}\r\nHost: evil", f"{SECRET}\x00", f" {SECRET}", "", 5, None, [SECRET], f"{SECRET}\u00e9",
        )),
    ],
)  # fmt: skip
def test_what_would_break_a_request_is_refused_without_its_value(hosts, message):
    with pytest.raises(ValueError, match="expected") as raised:
        parse_host_headers(hosts if isinstance(hosts, str) else json.dumps(hosts))

    assert message in str(raised.value)
    assert SECRET not in str(raised.value)


def test_host_is_sent_its_headers_and_whoever_it_redirects_to_is_not(make_fetcher, origin):
    headers = {"User-Agent": "Mozilla/5.0", "referer": "https://shop.example/", "Authorization": SECRET}
    names = name_server({name: [ORIGIN_ADDRESS] for name in ("shop.example.", "other.example")})
    fetcher = make_fetcher(lookup=names, host_headers=parse_host_headers(json.dumps({"shop.example": headers})))
    there = origin.serve("/2.jpg", response(b"x")).replace(ORIGIN_ADDRESS, "other.example")
    here = origin.serve("/1.jpg", response(b"", status="302 Found", headers=f"Location: {there}\r\n"))

    assert fetch_one(fetcher, here.replace(ORIGIN_ADDRESS, "Shop.Example."), etag='"v1"').data == b"x"

    sent, sent_on = (request.headers for request in origin.requests)
    assert sent.items() >= {name.lower(): value for name, value in headers.items()}.items()
    assert (sent["if-none-match"], sent["accept-encoding"]) == ('"v1"', "identity")
    assert not {"referer", "authorization"} & sent_on.keys()
    assert sent_on["user-agent"] == "FashionCatalogue/1.0 (product picture fetcher)"


def test_headers_are_in_no_log_and_no_error(make_fetcher, origin, settings, caplog):
    settings.FETCH_HOST_HEADERS = json.dumps({ORIGIN_ADDRESS: {"Authorization": SECRET}})
    policy = FetchPolicy.from_settings()
    fetcher = make_fetcher(host_headers=policy.host_headers)
    answers = [response(b"", status="403 Forbidden"), then_close(b"nonsense"), then_close(b"")]
    with caplog.at_level(logging.DEBUG):
        outcomes = [fetch_one(fetcher, origin.serve(f"/{number}", answer)) for number, answer in enumerate(answers)]

    assert [request.headers["authorization"] for request in origin.requests][:3] == [SECRET] * 3
    assert len(caplog.records) >= 3
    assert SECRET not in f"{policy!r} {outcomes!r} {caplog.text}"

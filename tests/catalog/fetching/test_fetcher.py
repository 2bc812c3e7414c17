"""Fetching over real sockets: hostile addresses, names, redirects and hosts on loopback.

Rows F20 to F24, F58 and F59 need no connection and are in test_fetching_addresses.py; F40 to F56, what a host answers,
are in test_fetching_answers.py.
"""

import asyncio
import socket
import threading
import time

import pytest
from yarl import URL

from catalog.fetching import fetcher as fetching
from catalog.fetching.policy import FetchError
from catalog.fetching.responses import FetchRequest
from tests.support import make_images as make
from tests.support.fetching import code_of, fetch_one, make_fetcher, name_server, origin, shared_origin
from tests.support.image_origin import (
    FORBIDDEN_ADDRESSES,
    ORIGIN_ADDRESS,
    response,
    running_origin,
    slowly,
    then_close,
)
from tests.support.redis_fronts import make_certificate

__all__ = ["make_fetcher", "origin", "shared_origin"]


# --- F1 to F19: addresses ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "host",
    ["127.0.0.1", "localhost", "127.1", "2130706433", "0x7f000001", "0177.0.0.1", "0", "0.0.0.0", "[::1]", "[::]",
     "[::ffff:127.0.0.1]", "[::ffff:7f00:1]", "[::127.0.0.1]", "[64:ff9b::7f00:1]", "[2002:7f00:1::]",
     "[::ffff:0:127.0.0.1]", "[fe80::1%25lo]", "[fec0::1]", "[fc00::1]", "[fd00:ec2::254]", "10.0.0.1", "172.16.0.1",
     "192.168.0.1", "169.254.169.254", "[::ffff:169.254.169.254]", "100.64.0.1", "198.18.0.1", "192.0.0.192",
     "192.88.99.1", "224.0.0.1", "240.0.0.1", "255.255.255.255", "168.63.129.16", "100.100.100.200"],
)  # fmt: skip
def test_forbidden_address_is_never_connected_to(make_fetcher, origin, host):
    # The machine's own resolver, because some of these spellings are its affair.
    fetcher = make_fetcher(lookup=socket.getaddrinfo)

    outcome = fetch_one(fetcher, origin.url("/1.jpg", host=host))

    assert code_of(outcome) == "url_blocked"
    assert not outcome.retryable


def test_socket_is_guarded_even_for_a_url_that_nobody_checked(make_fetcher, origin, monkeypatch):
    monkeypatch.setattr(fetching, "validate_url", lambda url, **_: URL(url))

    assert code_of(fetch_one(make_fetcher(), origin.url("/1.jpg", host="127.0.0.1"))) == "url_blocked"
    assert code_of(fetch_one(make_fetcher(), origin.url("/1.jpg", host="[::1]"))) == "url_blocked"


# --- F25 to F29: names ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "addresses",
    [["127.0.0.1"], [ORIGIN_ADDRESS, "127.0.0.1"], ["127.0.0.1", ORIGIN_ADDRESS], [ORIGIN_ADDRESS, "::1"]],
)
def test_one_bad_address_spoils_the_answer(make_fetcher, origin, addresses):
    fetcher = make_fetcher(lookup=name_server({"shop.example": addresses}))

    assert code_of(fetch_one(fetcher, origin.url("/1.jpg", host="shop.example"))) == "url_blocked"
    assert origin.connections == 0


def test_name_that_changes_its_address_is_blocked_at_the_next_connection(make_fetcher, origin):
    answers = {"shop.example": [ORIGIN_ADDRESS]}
    look_up = name_server(answers)
    asked = []

    def rebind(host, *rest):
        asked.append(host)
        found = look_up(host, *rest)
        answers["shop.example"] = ["127.0.0.1"]
        return found

    origin.serve("/1.jpg", then_close(response(b"", status="302 Found", headers="Location: /2.jpg\r\n")))

    outcome = fetch_one(make_fetcher(lookup=rebind), origin.url("/1.jpg", host="shop.example"))

    assert code_of(outcome) == "url_blocked"
    assert asked == ["shop.example", "shop.example"]
    assert origin.paths() == ["/1.jpg"]


def test_name_without_address_is_retried_later(make_fetcher, origin):
    outcome = fetch_one(make_fetcher(), origin.url("/1.jpg", host="nowhere.example"))

    assert (code_of(outcome), outcome.retryable) == ("dns_error", True)


def test_resolver_that_never_answers_costs_the_deadline_only(make_fetcher, origin):
    release = threading.Event()
    fetcher = make_fetcher(lookup=lambda *_: release.wait(30), total_seconds=0.5)
    started = time.monotonic()

    outcome = fetch_one(fetcher, origin.url("/1.jpg", host="shop.example"))
    fetcher.close()

    assert time.monotonic() - started < 5
    release.set()
    assert (code_of(outcome), outcome.retryable) == ("timeout", True)


def test_search_domains_are_not_used_unless_networks_are_open(make_fetcher, origin):
    asked = []

    def look_up(host, *_rest):
        asked.append(host)
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    fetch_one(make_fetcher(lookup=look_up, allowed_networks=()), origin.url("/1.jpg", host="shop.example"))
    fetch_one(make_fetcher(lookup=look_up), origin.url("/1.jpg", host="shop.example"))

    assert asked == ["shop.example.", "shop.example"]


# --- F30 to F34: redirects --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "location,code",
    [("http://169.254.169.254/latest/meta-data/", "url_blocked"), ("http://127.0.0.1:{port}/", "url_blocked"),
     ("file:///etc/passwd", "url_invalid"), ("ftp://shop.example/1.jpg", "url_invalid"),
     ("http://127.0.0.2:22/", "url_invalid")],
)  # fmt: skip
def test_redirect_to_a_forbidden_place_is_not_followed(make_fetcher, origin, location, code):
    target = location.format(port=origin.port).replace("169.254.169.254/", f"169.254.169.254:{origin.port}/")
    url = origin.serve("/1.jpg", response(b"", status="302 Found", headers=f"Location: {target}\r\n"))

    outcome = fetch_one(make_fetcher(), url)

    assert (code_of(outcome), outcome.retryable) == (code, False)
    assert origin.paths() == ["/1.jpg"]


@pytest.mark.parametrize("status", ["301 Moved", "302 Found", "303 See Other", "307 Temporary", "308 Permanent"])
def test_redirect_on_the_same_host_is_followed(make_fetcher, origin, status):
    url = origin.serve("/1.jpg", response(b"", status=status, headers="Location: 2.jpg\r\n"))
    origin.serve("/2.jpg", response(make.jpeg()))

    outcome = fetch_one(make_fetcher(), url)

    assert outcome.data == make.jpeg()


@pytest.mark.parametrize("hops,code", [(3, None), (4, "too_many_redirects"), (20, "too_many_redirects")])
def test_three_redirects_are_followed_and_no_more(make_fetcher, origin, hops, code):
    for hop in range(hops):
        origin.serve(f"/{hop}", response(b"", status="302 Found", headers=f"Location: /{hop + 1}\r\n"))
    origin.serve(f"/{hops}", response(make.jpeg()))

    outcome = fetch_one(make_fetcher(), origin.url("/0"))

    assert (outcome.code if isinstance(outcome, FetchError) else None) == code
    assert len(origin.requests) == 4


def test_redirect_to_itself_ends(make_fetcher, origin):
    url = origin.serve("/1.jpg", response(b"", status="302 Found", headers="Location: /1.jpg\r\n"))

    assert code_of(fetch_one(make_fetcher(), url)) == "too_many_redirects"


# --- F35 to F39: hosts that take their time ---------------------------------------------------------------------------


def test_host_that_accepts_no_connection_times_out(make_fetcher, origin):
    with socket.create_server((ORIGIN_ADDRESS, 0), backlog=0) as listener:
        port = listener.getsockname()[1]
        fetcher = make_fetcher(allowed_ports=frozenset({port}), connect_seconds=0.4, read_seconds=0.4)
        outcome = fetch_one(fetcher, f"http://{ORIGIN_ADDRESS}:{port}/1.jpg")

    assert (code_of(outcome), outcome.retryable) == ("timeout", True)


def test_host_that_listens_at_no_port_is_an_error(make_fetcher, origin):
    with socket.create_server((ORIGIN_ADDRESS, 0)) as listener:
        port = listener.getsockname()[1]

    outcome = fetch_one(make_fetcher(allowed_ports=frozenset({port})), f"http://{ORIGIN_ADDRESS}:{port}/1.jpg")

    assert (code_of(outcome), outcome.retryable) == ("connect_error", True)


def test_tls_handshake_that_hangs_times_out(make_fetcher, origin):
    with socket.create_server((ORIGIN_ADDRESS, 0)) as listener:
        port = listener.getsockname()[1]
        fetcher = make_fetcher(allowed_ports=frozenset({port}), connect_seconds=0.4, read_seconds=0.4)
        outcome = fetch_one(fetcher, f"https://{ORIGIN_ADDRESS}:{port}/1.jpg")

    assert (code_of(outcome), outcome.retryable) == ("timeout", True)


@pytest.mark.parametrize(
    "answer",
    [slowly(b"HTTP/1.1 200 OK\r\nX-Slow: " + b"x" * 1_000, seconds=0.05), slowly(response(b"x" * 1_000), seconds=0.02)],
    ids=["slow headers", "slow body"],
)
def test_slow_host_costs_the_deadline_and_no_more(make_fetcher, origin, answer):
    url = origin.serve("/1.jpg", answer)
    started = time.monotonic()

    outcome = fetch_one(make_fetcher(total_seconds=0.5), url)

    assert (code_of(outcome), outcome.retryable) == ("timeout", True)
    assert 0.4 < time.monotonic() - started < 5


def test_deadline_counts_over_redirects(make_fetcher, origin):
    async def answer_late(request, writer):
        await asyncio.sleep(0.6)
        writer.write(response(b"", status="302 Found", headers=f"Location: {request.path}0\r\n"))

    for path in ("/1", "/10", "/100"):
        origin.serve(path, answer_late)

    assert code_of(fetch_one(make_fetcher(total_seconds=1.0), origin.url("/1"))) == "timeout"
    assert origin.paths() == ["/1", "/10"]


# --- F55, F57, F60, F62: what is kept between requests ----------------------------------------------------------------


def test_cookies_are_not_sent_back_and_nothing_else_identifies_us(make_fetcher, origin):
    origin.serve("/1.jpg", response(b"1", headers="Set-Cookie: session=1; Path=/\r\n"))
    origin.serve("/2.jpg", response(b"2"))
    fetcher = make_fetcher()

    fetch_one(fetcher, origin.url("/1.jpg"))
    fetch_one(fetcher, origin.url("/2.jpg"))

    headers = origin.requests[1].headers
    assert sorted(headers) == ["accept", "accept-encoding", "host", "user-agent"]
    assert headers["accept-encoding"] == "identity"
    assert headers["user-agent"] == "FashionCatalogue/1.0 (product picture fetcher)"


def test_second_response_in_the_stream_is_nobodys_answer(make_fetcher, origin):
    origin.serve("/1.jpg", response(b"first") + response(b"smuggled"))
    origin.serve("/2.jpg", response(b"second"))
    fetcher = make_fetcher()

    assert fetch_one(fetcher, origin.url("/1.jpg")).data == b"first"
    assert fetch_one(fetcher, origin.url("/2.jpg")).data == b"second"


def test_response_that_comes_unasked_later_is_nobodys_answer(make_fetcher, origin):
    async def answer_twice(_request, writer):
        writer.write(response(b"first"))
        await writer.drain()
        await asyncio.sleep(0.05)
        writer.write(response(b"smuggled"))
        await writer.drain()

    async def answer_after_a_while(_request, writer):
        await asyncio.sleep(0.15)
        writer.write(response(b"waited for"))

    origin.serve("/1.jpg", answer_twice)
    origin.serve("/2.jpg", answer_after_a_while)
    origin.serve("/3.jpg", response(b"third"))
    fetcher = make_fetcher()

    first, waited_for = fetcher.fetch([FetchRequest(origin.url("/1.jpg")), FetchRequest(origin.url("/2.jpg"))])
    third, also_third = (fetch_one(fetcher, origin.url("/3.jpg")) for _ in range(2))

    assert [outcome.data for outcome in (first, waited_for)] == [b"first", b"waited for"]
    assert [outcome.data for outcome in (third, also_third)] == [b"third", b"third"]


def test_connection_is_used_again(make_fetcher, origin):
    for number in range(10):
        origin.serve(f"/{number}.jpg", response(b"x"))
    fetcher = make_fetcher()

    for number in range(10):
        fetch_one(fetcher, origin.url(f"/{number}.jpg"))

    assert (len(origin.requests), origin.connections) == (10, 1)


def test_same_url_a_thousand_times_is_fetched_once(make_fetcher, origin):
    url = origin.serve("/1.jpg", response(make.jpeg()))

    outcomes = make_fetcher().fetch([FetchRequest(url)] * 1_000)

    assert [outcome.data for outcome in outcomes] == [make.jpeg()] * 1_000
    assert len(origin.requests) == 1


def test_proxies_and_netrc_of_the_environment_are_not_used(make_fetcher, origin, monkeypatch, tmp_path):
    (tmp_path / ".netrc").write_text(f"machine {ORIGIN_ADDRESS} login me password secret\n")
    monkeypatch.setenv("NETRC", str(tmp_path / ".netrc"))
    for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY"):
        monkeypatch.setenv(name, f"http://{FORBIDDEN_ADDRESSES[0]}:{origin.port}")
    url = origin.serve("/1.jpg", response(make.jpeg()))

    assert fetch_one(make_fetcher(), url).data == make.jpeg()
    assert "authorization" not in origin.requests[0].headers


# --- F37: certificates ------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def tls_port(tmp_path_factory):
    """The port of a TLS host whose certificate nobody we trust has signed."""
    _, context = make_certificate(tmp_path_factory.mktemp("tls"), address=ORIGIN_ADDRESS)
    with running_origin(tls=context) as origin:
        yield origin.port


@pytest.mark.parametrize("host", [ORIGIN_ADDRESS, "other.example"], ids=["self-signed", "wrong host"])
def test_certificate_must_be_trusted(make_fetcher, tls_port, host):
    names = name_server({"other.example": [ORIGIN_ADDRESS]})
    fetcher = make_fetcher(allowed_ports=frozenset({tls_port}), lookup=names)

    outcome = fetch_one(fetcher, f"https://{host}:{tls_port}/1.jpg")

    assert (code_of(outcome), outcome.retryable) == ("tls_error", True)

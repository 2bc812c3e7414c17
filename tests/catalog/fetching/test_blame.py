"""Which failures a host answers for, and which are one picture's own affair."""

import asyncio
import socket

import pytest

from catalog.fetching.responses import FetchRequest, FetchResult
from tests.support.fetching import MOST_BYTES, code_of, fetch_one, make_fetcher, name_server, origin, shared_origin
from tests.support.image_origin import ORIGIN_ADDRESS, response, then_close

__all__ = ["make_fetcher", "origin", "shared_origin"]


async def never_answer(_request, _writer):
    await asyncio.sleep(30)


async def end_in_the_middle(_request, writer):
    writer.write(response(b"x" * 1_000, length=5_000)[:-1])
    await writer.drain()
    await asyncio.sleep(30)


OF_ONE_URL = {
    "missing": response(b"", status="404 Not Found"),
    "thumbnailer's error": response(b"", status="500 Internal Server Error"),
    "bad gateway": response(b"", status="502 Bad Gateway"),
    "not yet": response(b"", status="202 Accepted"),
    "too large": response(b"", length=MOST_BYTES + 1),
    "compressed": response(b"x", headers="Content-Encoding: gzip\r\n"),
    "zero in a header": response(b"x", headers="Server: \0\r\n"),
    "another length": response(b"x", length="1\r\nContent-Length: 2"),
    "length and another": response(b"x", length="1, 2"),
    "length and another behind a blank": response(b"x", length="1\r\nContent-Length : 2"),
    "header that ends early": then_close(b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\0"),
    "header without end": response(b"x", headers=f"X-Long: {'x' * 300_000}\r\n"),
    "no HTTP": then_close(b"<html>Sorry</html>"),
    "short": then_close(response(b"x", length=2)),
    "leads nowhere": response(b"", status="302 Found", headers="Location: ftp://shop.example/\r\n"),
}
OF_MANY = {
    "nothing": then_close(b""),
    "too late": never_answer,
    "too late in the middle": end_in_the_middle,
    "too often": response(b"", status="429 Too Many Requests"),
    "too often, and when": response(b"", status="429 Too Many Requests", headers="Retry-After: 30\r\n"),
    "overloaded": response(b"", status="503 Service Unavailable"),
}


@pytest.mark.parametrize("answer", OF_ONE_URL.values(), ids=OF_ONE_URL)
def test_answer_to_one_url_is_not_held_against_its_host(make_fetcher, origin, answer):
    fetcher = make_fetcher()
    broken = [origin.serve(f"/{number}.jpg", answer) for number in range(12)]
    assert not any(isinstance(outcome, FetchResult) for outcome in fetcher.fetch([FetchRequest(url) for url in broken]))

    assert fetch_one(fetcher, origin.serve("/good.jpg", response(b"x"))).data == b"x"
    assert set(origin.paths()) == {"/good.jpg", *(f"/{number}.jpg" for number in range(12))}


@pytest.mark.parametrize("answer", OF_MANY.values(), ids=OF_MANY)
def test_host_without_an_answer_for_many_urls_rests_and_not_for_one(make_fetcher, origin, answer):
    fetcher = make_fetcher(read_seconds=0.5, failures_before_rest=2)
    good = origin.serve("/good.jpg", response(b"x"))
    one = origin.serve("/one.jpg", answer)
    codes = {code_of(fetch_one(fetcher, one)) for _ in range(2)}
    assert fetch_one(fetcher, good).data == b"x"

    broken = [origin.serve(f"/{number}.jpg", answer) for number in range(2)]
    codes |= {code_of(outcome) for outcome in fetcher.fetch([FetchRequest(url) for url in broken])}
    outcome = fetch_one(fetcher, good)

    assert codes == {code_of(outcome)}
    assert outcome.retryable
    assert 0 < outcome.retry_after_seconds <= 60
    assert origin.paths().count("/good.jpg") == 1


def test_slow_pictures_do_not_starve_the_others_of_their_host(make_fetcher, origin):
    urls = [origin.serve(f"/slow{number}.jpg", never_answer) for number in range(8)]
    urls += [origin.serve(f"/{number}.jpg", response(b"x")) for number in range(24)]

    outcomes = make_fetcher(read_seconds=0.3).fetch([FetchRequest(url) for url in urls])

    # Eight slow ones would have to come first, one order in ten million, for the host to rest.
    assert [code_of(outcome) for outcome in outcomes[:8]] == ["timeout"] * 8
    assert [outcome.data for outcome in outcomes[8:]] == [b"x"] * 24


@pytest.mark.parametrize("host", ["nowhere.example", "closed.example"])
def test_host_that_cannot_be_connected_rests_whatever_was_asked(make_fetcher, origin, host):
    with socket.create_server((ORIGIN_ADDRESS, 0)) as listener:
        port = listener.getsockname()[1]
    asked = []

    def look_up(*arguments):
        asked.append(arguments)
        return name_server({"closed.example": [ORIGIN_ADDRESS]})(*arguments)

    fetcher = make_fetcher(lookup=look_up, failures_before_rest=2, allowed_ports=frozenset({port}))

    outcomes = [fetch_one(fetcher, f"http://{host}:{port}/1.jpg") for _ in range(4)]

    assert len({code_of(outcome) for outcome in outcomes}) == 1
    assert [outcome.retry_after_seconds is None for outcome in outcomes] == [True, True, False, False]
    assert len(asked) == 2

"""What a picture host may answer, and the code that it amounts to: bodies, headers, statuses and types."""

import gzip
import os

import pytest

from catalog.pictures.decoding import PictureError, to_rgb
from tests.support import make_images as make
from tests.support.fetching import MOST_BYTES, code_of, fetch_one, make_fetcher, origin, shared_origin
from tests.support.image_origin import endlessly, response, slowly, then_close

__all__ = ["make_fetcher", "origin", "shared_origin"]


# --- F40 to F49: bodies and headers -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "answer,code,retryable",
    [
        (endlessly(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", b"400\r\n" + b"x" * 1_024 + b"\r\n"),
         "too_large", False),
        (endlessly(b"HTTP/1.1 200 OK\r\n\r\n", b"x" * 1_024), "too_large", False),
        (response(b"", length=10_000_000_000), "too_large", False),
        (response(b"", length=MOST_BYTES + 1), "too_large", False),
        (then_close(response(make.jpeg(), length=50_000)), "truncated", True),
        (response(b"xx", length=-5), "connect_error", True),
        (response(b"xx", length="2\r\nContent-Length: 3"), "connect_error", True),
        (response(b"2\r\nxx\r\n0\r\n\r\n", headers="Transfer-Encoding: chunked\r\n"), "connect_error", True),
        (response(gzip.compress(bytes(5_000_000)), headers="Content-Encoding: gzip\r\n"), "bad_encoding", False),
        (response(b"xx", headers="Content-Encoding: gzip, gzip\r\n"), "bad_encoding", False),
        (response(b"xx", headers="Content-Encoding: none\r\nContent-Encoding: br\r\n"), "bad_encoding", False),
        (response(b"xx", headers="Content-Encoding: zstd\r\n"), "bad_encoding", False),
        (response(b"xx", headers="X-Many: x\r\n" * 100_000), "connect_error", True),
        (response(b"xx", headers=f"X-Long: {'x' * 1_000_000}\r\n"), "connect_error", True),
        (then_close(os.urandom(5_000)), "connect_error", True),
        (then_close(b"<html>HTTP/0.9 had no header</html>"), "connect_error", True),
        (then_close(b""), "connect_error", True),
        (then_close(response(b"x" * 1_000, length=50_000), reset=True), "truncated", True),
        (endlessly(b"HTTP/1.1 103 Early Hints\r\n\r\n", b"HTTP/1.1 103 Early Hints\r\n\r\n"), "connect_error", True),
        (endlessly(b"HTTP/1.1 200 OK\r\n", b"X-Many: x\r\n"), "connect_error", True),
    ],
    ids=["F40 endless chunks", "F40 endless body", "F41 length of 10 GB", "F41 length over the cap", "F43 short body",
         "F44 negative length", "F44 two lengths", "F44 length and chunks", "F45 gzip bomb", "F46 gzip in gzip",
         "F47 br", "F47 zstd", "F48 100,000 headers", "F48 header of 1 MB", "F49 random bytes", "F49 HTTP/0.9",
         "F49 nothing", "F56 reset", "hints without end", "headers without end"],
)  # fmt: skip
def test_bad_answer_has_a_code(make_fetcher, origin, answer, code, retryable):
    url = origin.serve("/1.jpg", answer)

    outcome = fetch_one(make_fetcher(), url)

    assert (code_of(outcome), outcome.retryable) == (code, retryable)


@pytest.mark.parametrize(
    "headers",
    ["Content-Security-Policy: " + "a" * 9_000 + "\r\n", "Content-Security-Policy: " + "a" * 40_000 + "\r\n",
     f"Set-Cookie: a={'x' * 100_000}\r\n", "".join(f"Set-Cookie: k{number}=v\r\n" for number in range(150)),
     "".join(f"X-Trace-{number}: {'b' * 300}\r\n" for number in range(700))],
    ids=["line of 9 KB", "line of 40 KB", "F55 cookie of 100 KB", "150 cookies", "700 headers, 220 KB"],
)  # fmt: skip
def test_header_may_be_as_large_as_browsers_take(make_fetcher, origin, headers):
    url = origin.serve("/1.jpg", response(b"x" * MOST_BYTES, headers=headers))

    assert fetch_one(make_fetcher(), url).data == b"x" * MOST_BYTES


def test_large_header_does_not_count_for_the_next_answer_of_the_connection(make_fetcher, origin):
    url = origin.serve("/1.jpg", response(b"x" * 100, headers=f"X-Long: {'x' * 200_000}\r\n"))
    fetcher = make_fetcher()

    assert [fetch_one(fetcher, url).data for _ in range(3)] == [b"x" * 100] * 3
    assert origin.connections == 1


ODD_HEADERS = {
    "space in a name": b"X Powered By: x\r\n",
    "space behind a name": b"Server : x\r\n",
    "no name": b": x\r\n",
    "no colon": b"nonsense\r\n",
    "no colon, folded": b"nonsense\r\n and: more of it\r\n",
    "folded": b"X-Long: a\r\n b\r\n\tc\r\n",
    "folded status line": b" X-Long: a\r\n",
    "Latin-1 value": b'Content-Disposition: inline; filename="caf\xe9.jpg"\r\n',
    "Latin-1 name": b"Gr\xf6\xdfe: 1\r\n",
    "UTF-8 name": "Größe: 1\r\n".encode(),
    "brackets in a name": b"X-(Cache): HIT\r\n",
    "zero in a name": b"X-\0: x\r\n",
    "line feed alone": b"Server: x\nX-Cache: HIT\n",
    "length twice": b"Content-Length: 5\r\n",
    "length twice in a line": b"Content-Length: 5, 5\r\n",
    "length twice, behind a blank": b"content-length : 5\r\n",
}


@pytest.mark.parametrize("lines", ODD_HEADERS.values(), ids=ODD_HEADERS)
@pytest.mark.parametrize("length", [b"Content-Length: 5\r\n", b"Content-Length : 5\r\n"])
def test_header_is_read_as_browsers_read_it(make_fetcher, origin, lines, length):
    url = origin.serve("/1.jpg", b"HTTP/1.1 200 OK\r\n" + lines + length + b"ETag : x\r\n\r\nhelloand more")

    outcome = fetch_one(make_fetcher(), url)

    assert (outcome.data, outcome.etag) == (b"hello", "x")


@pytest.mark.parametrize("length", [1, 7, 1_000])
def test_odd_header_is_read_in_any_pieces(make_fetcher, origin, length):
    hint = b"HTTP/1.1 103 Early Hints\r\nnonsense\r\n\r\n"
    answer = hint + response(b"hello", headers="nonsense\r\nETag : x\r\n")
    url = origin.serve("/1.jpg", slowly(answer, seconds=0.001, length=length))

    outcome = fetch_one(make_fetcher(), url)

    assert (outcome.data, outcome.etag) == (b"hello", "x")


@pytest.mark.parametrize("headers,connections", [("Server: x\r\n", 1), ("Server : x\r\n", 3)])
def test_connection_with_an_odd_header_is_not_used_again(make_fetcher, origin, headers, connections):
    url = origin.serve("/1.jpg", response(b"x", headers=headers))
    fetcher = make_fetcher()

    assert [fetch_one(fetcher, url).data for _ in range(3)] == [b"x"] * 3
    assert origin.connections == connections


@pytest.mark.parametrize("coding", ["aws-chunked", "none", "utf-8", "binary", "identity", "AWS-Chunked, none", ""])
def test_coding_that_no_browser_knows_is_not_believed(make_fetcher, origin, coding):
    url = origin.serve("/1.jpg", response(make.jpeg(), headers=f"Content-Encoding: {coding}\r\n"))

    assert fetch_one(make_fetcher(), url).data == make.jpeg()


def test_length_that_is_too_small_gives_a_truncated_picture(make_fetcher, origin):
    url = origin.serve("/1.jpg", then_close(response(make.jpeg(), length=len(make.jpeg()) // 2)))

    outcome = fetch_one(make_fetcher(), url)

    with pytest.raises(PictureError) as raised:
        to_rgb(outcome.data)
    assert raised.value.code == "truncated"


def test_body_of_exactly_the_cap_is_taken(make_fetcher, origin):
    url = origin.serve("/1.jpg", response(b"x" * MOST_BYTES))

    assert fetch_one(make_fetcher(), url).data == b"x" * MOST_BYTES


# --- F50 to F54: statuses and types -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "status,code,retryable",
    [("202 Accepted", "not_image", True), ("204 No Content", "not_image", False),
     ("206 Partial Content", "truncated", False), ("301 Moved Permanently", "not_image", False),
     ("304 Not Modified", "not_image", False),
     ("401 Unauthorized", "http_4xx", False), ("403 Forbidden", "http_4xx", False),
     ("404 Not Found", "http_4xx", False),
     ("410 Gone", "http_4xx", False), ("408 Request Timeout", "http_4xx", True), ("425 Too Early", "http_4xx", True),
     ("429 Too Many Requests", "rate_limited", True), ("500 Internal Server Error", "http_5xx", True),
     ("503 Service Unavailable", "http_5xx", True)],
)  # fmt: skip
def test_status_decides_whether_to_come_back(make_fetcher, origin, status, code, retryable):
    url = origin.serve("/1.jpg", then_close(response(b"", status=status)))

    outcome = fetch_one(make_fetcher(), url)

    assert (code_of(outcome), outcome.retryable, outcome.retry_after_seconds) == (code, retryable, None)


def test_transformed_picture_is_the_picture(make_fetcher, origin):
    url = origin.serve("/1.jpg", response(make.jpeg(), status="203 Non-Authoritative Information"))

    assert fetch_one(make_fetcher(), url).data == make.jpeg()


@pytest.mark.parametrize(
    "value,seconds",
    [("7", 7.0), ("0", 0.0), ("999999999", 86_400.0), ("-5", None), ("soon", None),
     ("Mon, 02 Nov 2020 10:00:00 GMT", 0.0),
     ("Mon, 02 Nov 2199 10:00:00 GMT", 86_400.0)],
)  # fmt: skip
def test_retry_after_is_kept(make_fetcher, origin, value, seconds):
    url = origin.serve("/1.jpg", response(b"", status="429 Slow Down", headers=f"Retry-After: {value}\r\n"))

    assert fetch_one(make_fetcher(), url).retry_after_seconds == seconds


@pytest.mark.parametrize(
    "body,content_type,code",
    [(b"<html>Sorry</html>", "text/html", "not_image"), (b"<html>Sorry</html>", "image/jpeg", "not_image"),
     (make.jpeg(), "text/plain", None), (make.png(), "application/octet-stream", None)],
    ids=["F51", "F52", "F53", "F54"],
)  # fmt: skip
def test_content_type_is_never_believed(make_fetcher, origin, body, content_type, code):
    url = origin.serve("/1.jpg", response(body, headers=f"Content-Type: {content_type}\r\n"))

    outcome = fetch_one(make_fetcher(), url)

    assert outcome.data == body
    if code is None:
        assert to_rgb(outcome.data).shape == (32, 48, 3)
    else:
        with pytest.raises(PictureError) as raised:
            to_rgb(outcome.data)
        assert raised.value.code == code

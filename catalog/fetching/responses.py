"""What an image host answered: a picture's bytes, an unchanged picture, or the error that it amounts to."""

from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

import aiohttp

from catalog.fetching.addresses import BlockedAddressError
from catalog.fetching.host_limits import Blame
from catalog.fetching.policy import FetchError

EXPECTED_ERRORS = (aiohttp.ClientError, BlockedAddressError, OSError, ValueError)
# Statuses below 500 that say "not now".
_RETRYABLE_STATUSES = (408, 425)
# What a later attempt may not meet: the first that fits gives the code, the message and whose fault it is.
_FAILURES: dict[type[Exception], tuple[str, str, Blame]] = {
    aiohttp.ConnectionTimeoutError: ("timeout", "no connection to the host in time", Blame.HOST),
    TimeoutError: ("timeout", "the host did not answer in time", Blame.SILENCE),
    aiohttp.ClientConnectorDNSError: ("dns_error", "the host's name has no address", Blame.HOST),
    aiohttp.ClientSSLError: ("tls_error", "no trusted connection to the host", Blame.HOST),
    aiohttp.ClientConnectorError: ("connect_error", "no connection to the host", Blame.HOST),
    aiohttp.ClientPayloadError: ("truncated", "the connection ended before the picture did", Blame.URL),
    aiohttp.ClientConnectionError: ("connect_error", "the host ended the connection without an answer", Blame.SILENCE),
    Exception: ("connect_error", "no usable answer from the host", Blame.URL),
}
# Codings that browsers undo. What else hosts write there was never applied (`aws-chunked`, `none`, `utf-8`), and the
# bytes speak for themselves.
_CODINGS = {"gzip", "x-gzip", "deflate", "compress", "x-compress", "br", "zstd", "dcb", "dcz"}
# A host may ask for a pause, but not for ever.
_MOST_RETRY_AFTER_SECONDS = 86_400.0


@dataclass(frozen=True)
class FetchRequest:
    """A picture to fetch; with the tag or date of the copy we hold, the host may answer that it has not changed."""

    url: str
    etag: str = ""
    last_modified: str = ""


@dataclass(frozen=True)
class FetchResult:
    """What came: the bytes, not yet looked at, or None for those we hold; tag and date fit for the next request."""

    data: bytes | None
    etag: str
    last_modified: str


async def read_body(response: aiohttp.ClientResponse, *, most_bytes: int) -> bytes:
    """Return the body as it was sent; raises FetchError `bad_encoding`, or `too_large` as soon as that is known."""
    encodings = ",".join(response.headers.getall("Content-Encoding", [])).lower().split(",")
    if not _CODINGS.isdisjoint(encoding.strip() for encoding in encodings):
        raise FetchError("bad_encoding", "expected a body without content encoding")
    too_large = FetchError("too_large", f"expected at most {most_bytes:,} bytes")
    if (response.content_length or 0) > most_bytes:
        raise too_large
    body = bytearray()
    async for chunk in response.content.iter_any():
        if len(body) + len(chunk) > most_bytes:
            raise too_large
        body += chunk
    return bytes(body)


def check_status(response: aiohttp.ClientResponse) -> None:
    """Raise FetchError unless the response holds a picture; what the host may do later is retryable."""
    status = response.status
    message = f"expected status 200, got {status}"
    if status in (200, 203):
        return
    if status in (202, 429) or status >= 500:
        code = {202: "not_image", 429: "rate_limited"}.get(status, "http_5xx")
        blame = Blame.SILENCE if status in (429, 503) else Blame.URL
        retry_after_seconds = _find_retry_after(response)
        raise FetchError(code, message, retryable=True, retry_after_seconds=retry_after_seconds, blame=blame)
    if status >= 400:
        raise FetchError("http_4xx", message, retryable=status in _RETRYABLE_STATUSES)
    # 206 that nobody asked for, 204, a redirect to nowhere: an answer, but no picture.
    raise FetchError("truncated" if status == 206 else "not_image", message)


def _find_retry_after(response: aiohttp.ClientResponse) -> float | None:
    text = response.headers.get("Retry-After", "").strip()
    try:
        seconds = float(text) if text.isascii() and text.isdigit() else _seconds_until(text)
    except (ValueError, OverflowError):
        return None
    return min(max(seconds, 0.0), _MOST_RETRY_AFTER_SECONDS)


def _seconds_until(http_date: str) -> float:
    moment = parsedate_to_datetime(http_date)
    return (moment.replace(tzinfo=moment.tzinfo or UTC) - datetime.now(UTC)).total_seconds()


def build_result(request: FetchRequest, response: aiohttp.ClientResponse, *, data: bytes | None) -> FetchResult:
    """Return the result of a good response; without data the picture is the one that we hold."""
    not_modified = data is None
    return FetchResult(
        data=data,
        etag=_clean_header(response, "ETag", most=255) or (request.etag if not_modified else ""),
        last_modified=_clean_header(response, "Last-Modified", most=64)
        or (request.last_modified if not_modified else ""),
    )


def _clean_header(response: aiohttp.ClientResponse, name: str, *, most: int) -> str:
    """Return a header that may be kept and sent back, or an empty text when it is too long or odd."""
    text = response.headers.get(name, "")
    return text if len(text) <= most and text.isascii() and text.isprintable() else ""


def build_fetch_error(error: Exception) -> FetchError:
    """Return the error that a failure of the connection amounts to, in words that name no address."""
    if isinstance(error, BlockedAddressError):
        return FetchError("url_blocked", str(error), blame=Blame.NOBODY)
    if isinstance(error, aiohttp.InvalidURL):
        return FetchError("url_invalid", "expected a URL with a host name")
    code, message, blame = next(failure for kind, failure in _FAILURES.items() if isinstance(error, kind))
    return FetchError(code, message, retryable=True, blame=blame)

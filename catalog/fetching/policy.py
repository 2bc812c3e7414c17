"""What may be fetched and how long it may take: the settings of the fetcher, its errors, and the check of a URL."""

import re
import socket
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from django.conf import settings
from yarl import URL

from catalog.fetching.addresses import Network, build_networks, find_literal_address, is_address_allowed
from catalog.pictures.formats import MAX_FILE_BYTES

MAX_URL_LENGTH = 2_048
MAX_REDIRECTS = 3
# Hosts are checked after international names have become ASCII.
_HOST_NAME = re.compile(r"[a-z0-9_](?:[a-z0-9_.-]{0,252}[a-z0-9_.])?")
# Control characters and line ends, and NUL, CR and LF in disguise.
_FORBIDDEN_TEXT = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]|%0[0ad]", re.IGNORECASE)


class FetchError(Exception):
    """A picture that did not come; `code` is one of the product's error codes, `message` is fit for people.

    `retryable` says whether a later attempt may succeed; `retry_after_seconds` is when the host may be asked again, or
    None. The message holds no address and nothing that the host sent.
    """

    def __init__(
        self, code: str, message: str, *, retryable: bool = False, retry_after_seconds: float | None = None
    ) -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.retryable = retryable
        self.retry_after_seconds = retry_after_seconds


@dataclass(frozen=True)
class FetchPolicy:
    """The limits of fetching; times in seconds, sizes in bytes."""

    allowed_networks: tuple[Network, ...] = ()
    allowed_ports: frozenset[int] = frozenset({80, 443})
    # Of all processes together, by the Redis at `redis_url`; of each process without one. 0 is no limit.
    requests_per_second_per_host: float = 10.0
    # For one picture with its redirects, name lookup included; not counted is the wait for the host's turn.
    total_seconds: float = 10.0
    connect_seconds: float = 3.0
    read_seconds: float = 5.0
    # For all pictures of a call: below a task's time limit, with room for the work that follows.
    batch_seconds: float = 45.0
    # From the start of a call; a picture whose turn would come later fails as `rate_limited`.
    most_wait_seconds: float = 20.0
    most_bytes: int = MAX_FILE_BYTES
    # In flight at a time, so that a worker holds at most eight bodies of the largest size.
    connections: int = 8
    connections_per_host: int = 4
    failures_before_rest: int = 5
    rest_seconds: float = 60.0
    lookup: Callable[..., Any] = socket.getaddrinfo
    redis_url: str = field(default="", repr=False)

    @classmethod
    def from_settings(cls) -> "FetchPolicy":
        """Return the policy that the FETCH_ settings describe."""
        return cls(
            allowed_networks=build_networks(settings.FETCH_ALLOWED_NETWORKS),
            allowed_ports=frozenset(settings.FETCH_ALLOWED_PORTS),
            requests_per_second_per_host=settings.FETCH_REQUESTS_PER_SECOND_PER_HOST,
            redis_url=settings.REDIS_URL,
        )


def validate_url(url: str, *, policy: FetchPolicy | None = None) -> URL:
    """Return the URL ready for a request; raises FetchError `url_invalid`, or `url_blocked` for a forbidden address."""
    policy = policy or FetchPolicy.from_settings()
    if len(url) > MAX_URL_LENGTH:
        raise FetchError("url_invalid", f"expected at most {MAX_URL_LENGTH:,} characters, got {len(url):,}")
    if _FORBIDDEN_TEXT.search(url) or url != url.strip():
        raise FetchError("url_invalid", "expected a URL without control characters")
    scheme, separator, rest = url.partition("://")
    if not separator or scheme.lower() not in ("http", "https"):
        raise FetchError("url_invalid", "expected an http or https URL")
    if "@" in re.split(r"[/?#]", rest, maxsplit=1)[0]:
        raise FetchError("url_invalid", "expected a URL without user name and password")
    try:
        parsed = URL(url)
        host = parsed.raw_host or ""
        port = parsed.port
    except ValueError as error:
        raise FetchError("url_invalid", "expected a URL with a host name and a port up to 65,535") from error
    literal = find_literal_address(host)
    if literal is None and not _HOST_NAME.fullmatch(host):
        raise FetchError("url_invalid", "expected a URL with a host name")
    if port not in policy.allowed_ports:
        ports = ", ".join(str(number) for number in sorted(policy.allowed_ports))
        raise FetchError("url_invalid", f"expected one of the ports {ports}, got {port}")
    if literal is not None and not is_address_allowed(literal, allowed_networks=policy.allowed_networks):
        raise FetchError("url_blocked", "expected a public address")
    return parsed.with_fragment(None)


def build_redirect_url(current: URL, location: str, *, policy: FetchPolicy) -> URL:
    """Return where a redirect leads, checked like any URL; raises FetchError, `url_blocked` for one that leaves TLS."""
    try:
        target = str(current.join(URL(location)))
    except ValueError as error:
        raise FetchError("url_invalid", "expected a redirect to a valid URL") from error
    url = validate_url(target, policy=policy)
    if current.scheme == "https" and url.scheme != "https":
        raise FetchError("url_blocked", "expected a redirect from https to https")
    return url

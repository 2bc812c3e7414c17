"""What may be fetched and how long it may take: the settings of the fetcher, its errors, and the check of a URL."""

import re
import socket
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import quote

from django.conf import settings
from yarl import URL

from catalog.fetching.addresses import Network, build_networks, find_literal_address, is_address_allowed
from catalog.fetching.host_limits import Blame
from catalog.fetching.host_settings import (
    HostHeaders,
    HostRates,
    find_host_rate,
    parse_host_headers,
    parse_host_rates,
)
from catalog.pictures.formats import MAX_FILE_BYTES

# Of what is sent. An image's address has 2,048 at most; a redirect to a signed one is often longer.
MAX_URL_LENGTH = 8_192
MAX_REDIRECTS = 3
_URL = re.compile(r"(https?)://([^/?#]*)([^?#]*)(\?[^#]*)?(?:#.*)?", re.IGNORECASE | re.DOTALL)
_SCHEME = re.compile(r"[a-z][a-z0-9+.-]*:", re.IGNORECASE)
# Hosts are checked after international names have become ASCII.
_HOST_NAME = re.compile(r"[a-z0-9_](?:[a-z0-9_.-]{0,252}[a-z0-9_.])?")
# Control characters and line ends, and NUL, CR and LF in disguise. The surrogates that are left are a header's bytes.
_FORBIDDEN_TEXT = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udc7f\udd00-\udfff]|%0[0ad]", re.IGNORECASE)
# Everything else that is printed is sent as it was published, percent signs included: a signature is of exactly these
# characters. What no request line can hold is percent-encoded where browsers do it too.
_SENT_IN_PATH = "!$%&'()*+,/:;=@[]"
_SENT_IN_QUERY = _SENT_IN_PATH + "?\\^`{|}"


class FetchError(Exception):
    """A picture that did not come; `code` is one of the product's error codes, `message` is fit for people.

    `retryable` says whether a later attempt may succeed; `retry_after_seconds` is when the host may be asked again, or
    None; `blame` is what it says of the host. The message holds no address and nothing that the host sent.
    """

    def __init__(
        self,
        code: str,
        message: str,
        *,
        retryable: bool = False,
        retry_after_seconds: float | None = None,
        blame: Blame = Blame.URL,
    ) -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.retryable = retryable
        self.retry_after_seconds = retry_after_seconds
        self.blame = blame


@dataclass(frozen=True)
class FetchPolicy:
    """The limits of fetching; times in seconds, sizes in bytes."""

    allowed_networks: tuple[Network, ...] = ()
    allowed_ports: frozenset[int] = frozenset({80, 443})
    # Of all processes together, by the Redis at `redis_url`; of each process without one. 0 is no limit.
    requests_per_second_per_host: float = 10.0
    # Of these hosts instead.
    host_rates: HostRates = ()
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
    # Sent to these hosts beside our own headers, or in their place; they may be secrets.
    host_headers: HostHeaders = field(default=(), repr=False)
    lookup: Callable[..., Any] = socket.getaddrinfo
    redis_url: str = field(default="", repr=False)

    @classmethod
    def from_settings(cls) -> "FetchPolicy":
        """Return the policy that the FETCH_ settings describe."""
        return cls(
            allowed_networks=build_networks(settings.FETCH_ALLOWED_NETWORKS),
            allowed_ports=frozenset(settings.FETCH_ALLOWED_PORTS),
            requests_per_second_per_host=settings.FETCH_REQUESTS_PER_SECOND_PER_HOST,
            host_rates=parse_host_rates(settings.FETCH_HOST_RATES),
            host_headers=parse_host_headers(settings.FETCH_HOST_HEADERS),
            redis_url=settings.REDIS_URL,
        )

    def get_rate(self, host: str) -> float:
        """Return the requests a second of a host, by its normalised name; 0 is no limit."""
        return find_host_rate(self.host_rates, host, usual=self.requests_per_second_per_host)


def validate_url(url: str, *, policy: FetchPolicy | None = None) -> URL:
    """Return the URL ready for a request; raises FetchError `url_invalid`, or `url_blocked` for a forbidden address.

    Path and query are sent as they stand here. They are the path of what is returned, which would lose a question mark
    with nothing behind it in a query of its own.
    """
    policy = policy or FetchPolicy.from_settings()
    if _FORBIDDEN_TEXT.search(url) or url != url.strip():
        raise FetchError("url_invalid", "expected a URL without control characters")
    parts = _URL.fullmatch(url)
    if parts is None:
        raise FetchError("url_invalid", "expected an http or https URL")
    scheme, authority, path, query = parts.groups(default="")
    if "@" in authority:
        raise FetchError("url_invalid", "expected a URL without user name and password")
    target = _quote(path or "/", safe=_SENT_IN_PATH) + _quote(query, safe=_SENT_IN_QUERY)
    if (length := len(f"{scheme}://{authority}{target}")) > MAX_URL_LENGTH:
        raise FetchError("url_invalid", f"expected at most {MAX_URL_LENGTH:,} characters, got {length:,}")
    try:
        origin = URL(f"{scheme}://{authority}")
        host = origin.raw_host or ""
        port = origin.port
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
    return URL.build(scheme=origin.scheme, authority=origin.raw_authority, path=target, encoded=True)


def _quote(text: str, *, safe: str) -> str:
    return quote(text, safe=safe, errors="surrogateescape")


def build_redirect_url(current: URL, location: str, *, policy: FetchPolicy) -> URL:
    """Return where a redirect leads, checked like any URL; raises FetchError, `url_blocked` for one that leaves TLS."""
    url = validate_url(_resolve_reference(current, location), policy=policy)
    if current.scheme == "https" and url.scheme != "https":
        raise FetchError("url_blocked", "expected a redirect from https to https")
    return url


def _resolve_reference(current: URL, location: str) -> str:
    """Return the URL that a reference means, as RFC 3986 has it; dots are resolved in a relative path alone."""
    if _SCHEME.match(location):
        return location
    if location.startswith("//"):
        return f"{current.scheme}:{location}"
    origin = str(current.origin())
    path = current.raw_path_qs.partition("?")[0]
    relative = re.split(r"[?#]", location, maxsplit=1)[0]
    if not relative:
        return f"{origin}{path}{location}" if location.startswith("?") else str(current)
    if relative.startswith("/"):
        return origin + location
    folders, names = path.split("/")[1:-1], relative.split("/")
    for name in names:
        if name == "..":
            del folders[-1:]
        elif name != ".":
            folders.append(name)
    if names[-1] in (".", ".."):
        folders.append("")
    return f"{origin}/{'/'.join(folders)}{location[len(relative) :]}"

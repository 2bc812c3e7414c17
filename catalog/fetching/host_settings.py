"""What an operator says of single hosts: what we send to them, and how often they may be asked.

What is sent is the User-Agent that a host takes, the Referer it asks for, a key of ours. The values may be secrets: no
error names one, and they are sent to the hosts named and to nobody they redirect to.
"""

import json
import re
from typing import Any

from django.utils.http import is_same_domain

from catalog.fetching.addresses import find_literal_address
from catalog.fetching.host_limits import normalise_host

# For a host, or for a domain and all its subdomains (`.shop.example`), names and values.
HostHeaders = tuple[tuple[str, tuple[tuple[str, str], ...]], ...]
# For the same, requests a second; 0 is no limit.
HostRates = tuple[tuple[str, float], ...]

_HOST = re.compile(r"\.?[a-z0-9_-]+(?:\.[a-z0-9_-]+)*", re.IGNORECASE)
_NAME = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~-]+")
# With these the connection, the length or the state of the answer would not be what the fetcher takes them for.
_NEVER = re.compile(
    "accept-encoding|connection|expect|host|keep-alive|range|te|trailer|transfer-encoding|upgrade|(content|if|proxy)-.*",
    re.IGNORECASE,
)


def read_hosts(text: str) -> dict[str, Any]:
    """Return a JSON object whose members are hosts; "" is none.

    Raises ValueError, which says what was expected and names no value.
    """
    if not text:
        return {}
    try:
        hosts = json.loads(text)
    except ValueError as error:
        raise ValueError(f"expected JSON, got {error}") from None
    if not isinstance(hosts, dict):
        raise ValueError("expected an object with a member for each host")
    for number, host in enumerate(hosts, 1):
        if find_literal_address(host) is None and not _HOST.fullmatch(host):
            raise ValueError(f"member {number}: expected a host as cdn.shop.example, or .shop.example for all below it")
    return hosts


def parse_host_headers(text: str) -> HostHeaders:
    """Return what a JSON object says, `{"cdn.shop.example": {"Referer": "https://shop.example/"}}`; "" is nothing.

    Raises ValueError, which says what was expected and names no value.
    """
    hosts = read_hosts(text)
    for host, headers in hosts.items():
        if not isinstance(headers, dict):
            raise ValueError(f"{host}: expected an object of header names and values")
        for name, value in headers.items():
            _check_header(host, name, value)
    return tuple((normalise_host(host), tuple(headers.items())) for host, headers in hosts.items())


def _check_header(host: str, name: str, value: object) -> None:
    if not _NAME.fullmatch(name):
        raise ValueError(f"{host}: expected the name of a header, got a text of {len(name)} characters that is none")
    if _NEVER.fullmatch(name):
        raise ValueError(f"{host}: expected a header that is not the fetcher's own affair, got {name}")
    if not (isinstance(value, str) and value.isascii() and value.isprintable() and value.strip() == value != ""):
        raise ValueError(f"{host}: expected the value of {name} to be a text of printable ASCII characters")


def find_headers(host_headers: HostHeaders, host: str) -> dict[str, str]:
    """Return the headers for a host; where several entries fit, those further back win."""
    return {
        name: value for pattern, headers in host_headers if is_same_domain(host, pattern) for name, value in headers
    }


def parse_host_rates(text: str) -> HostRates:
    """Return what a JSON object says, `{"cdn.shop.example": 200}`; "" is nothing. Raises ValueError."""
    hosts = read_hosts(text)
    for host, rate in hosts.items():
        if isinstance(rate, bool) or not isinstance(rate, int | float) or not 0 <= rate < 1e6:
            raise ValueError(f"{host}: expected requests a second from 0, which is no limit, got {rate!r}")
    return tuple((normalise_host(host), float(rate)) for host, rate in hosts.items())


def find_host_rate(rates: HostRates, host: str, *, usual: float) -> float:
    """Return the rate of a host; of several entries that fit the last one wins."""
    return next((rate for pattern, rate in reversed(rates) if is_same_domain(host, pattern)), usual)

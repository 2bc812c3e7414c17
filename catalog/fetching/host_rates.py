"""How often single hosts may be asked, where that is not the usual rate: a content network bears more than a shop."""

from django.utils.http import is_same_domain

from catalog.fetching.host_headers import read_hosts
from catalog.fetching.host_limits import normalise_host

#: For a host, or for a domain and all its subdomains (`.shop.example`), requests a second; 0 is no limit.
HostRates = tuple[tuple[str, float], ...]


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

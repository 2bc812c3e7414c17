"""Generated addresses, and what their host hears of them: ``python -m tests.catalog.fetching.published_urls``."""

import argparse
import json
import re
import string
import sys
import time
import traceback
from urllib.parse import quote, unquote_to_bytes

import hypothesis
from hypothesis import strategies

from catalog.fetching.addresses import build_networks
from catalog.fetching.fetcher import Fetcher
from catalog.fetching.policy import FetchPolicy
from catalog.fetching.responses import FetchRequest
from tests.support.image_origin import ORIGIN_ADDRESS, ImageOrigin, response, running_origin

# What stands in a path or a query as it is (RFC 3986; brackets, because many queries have them), the escapes of every
# byte but the three that are refused, in both cases, what clients are known to rewrite, and what no request line can
# hold, which browsers escape as well.
_PIECES = [
    *(string.ascii_letters + string.digits + "-._~!$&'()*+,;=:@/[]%") * 5,
    *(f"%{byte:02{case}}" for byte in range(256) for case in "xX" if byte not in (0, 10, 13)),
    *["%2F", "%27", "%28", "%29", "%2C", "%3A", "/../", "/./", "//", "http%3A%2F%2F", "?", "?", "?"] * 20,
    *' "<>éÜß漢😀\u0301',
]
# Pieces side by side may make one of the three.
_TEXTS = (
    strategies.lists(strategies.sampled_from(_PIECES), max_size=30)
    .map("".join)
    .filter(lambda text: not re.search("%0[0ad]", text, re.IGNORECASE))
)
# What a host is asked for of an address, what stands behind that, and how a redirect to it is written.
ADDRESSES = {
    "target": _TEXTS.map("/{}".format),
    "fragment": strategies.just("") | _TEXTS.map("#{}".format),
    "location": strategies.sampled_from(["http://{host}{address}", "//{host}{address}", "{address}"]),
}
_SENT_AS_PUBLISHED = "".join(set(string.punctuation) - set('"<>'))


def build_fetcher(origin: ImageOrigin) -> Fetcher:
    """Return a fetcher that may reach the origin, to be closed."""
    networks = build_networks([f"{ORIGIN_ADDRESS}/32"])
    ports = frozenset({origin.port})
    return Fetcher(FetchPolicy(allowed_networks=networks, allowed_ports=ports, requests_per_second_per_host=0.0))


def check_address(origin: ImageOrigin, fetcher: Fetcher, *, target: str, fragment: str, location: str) -> None:
    """Fetch an address by itself and by a redirect to it: the host must hear what was published, byte for byte."""
    address = (target + fragment).rstrip()
    target = target if fragment else address
    expected = quote(target, safe=_SENT_AS_PUBLISHED)
    assert unquote_to_bytes(expected) == unquote_to_bytes(target)
    if address.startswith("//") and location == "{address}":  # which would be another host's
        location = "//{host}{address}"
    location = location.format(host=f"{ORIGIN_ADDRESS}:{origin.port}", address=address)
    redirect = origin.serve("/redirect", response(b"", status="302 Found", headers=f"Location: {location}\r\n"))
    origin.requests.clear()

    fetcher.fetch([FetchRequest(origin.url(address)), FetchRequest(redirect)])

    heard = sorted(origin.paths())
    assert heard == sorted([expected, "/redirect", expected]), f"expected {expected} for {address!r}, heard {heard}"


def main() -> int:
    """Fetch generated addresses, and return 1 if a host heard another one than was published."""
    parser = argparse.ArgumentParser(prog="python -m tests.catalog.fetching.published_urls", description=main.__doc__)
    parser.add_argument("--cases", type=int, default=11_000, help="of which one in twenty comes again (%(default)s)")
    parser.add_argument("--seed", type=int, default=1, help="what they are made from (%(default)s)")
    parser.add_argument("--json", action="store_true", help="print the outcome as one JSON document")
    arguments = parser.parse_args()

    started = time.monotonic()
    addresses = set()
    failure = ""
    with running_origin() as origin:
        fetcher = build_fetcher(origin)

        @hypothesis.seed(arguments.seed)
        @hypothesis.settings(max_examples=arguments.cases, deadline=None, database=None)
        @hypothesis.given(strategies.fixed_dictionaries(ADDRESSES))
        def check(published: dict[str, str]) -> None:
            addresses.add(published["target"] + published["fragment"])
            check_address(origin, fetcher, **published)

        try:
            check()
        except AssertionError as error:
            failure = str(error)
            traceback.print_exc()
        finally:
            fetcher.close()
    report = {
        "cases": arguments.cases,
        "addresses": len(addresses),
        "seed": arguments.seed,
        "passed": not failure,
        "failure": failure,
        "elapsed_seconds": round(time.monotonic() - started, 1),
    }
    lines = [json.dumps(report)] if arguments.json else [f"{name}: {value}" for name, value in report.items()]
    sys.stdout.write("\n".join(lines) + "\n")
    return 1 if failure else 0


if __name__ == "__main__":
    sys.exit(main())

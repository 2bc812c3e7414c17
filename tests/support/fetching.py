"""What the tests of fetching share: one host on loopback, and fetchers that may reach nothing else."""

import socket
from collections.abc import Iterator

import pytest

from catalog.fetching.addresses import build_networks
from catalog.fetching.fetcher import Fetcher
from catalog.fetching.policy import FetchError, FetchPolicy
from catalog.fetching.responses import FetchRequest, FetchResult
from tests.support.image_origin import ORIGIN_ADDRESS, ImageOrigin, running_origin

MOST_BYTES = 100_000


@pytest.fixture(scope="module")
def shared_origin() -> Iterator[ImageOrigin]:
    with running_origin() as origin:
        yield origin


@pytest.fixture
def origin(shared_origin) -> Iterator[ImageOrigin]:
    """The host, with nothing asked or answered yet; afterwards no forbidden address has seen a connection."""
    shared_origin.answers.clear()
    shared_origin.requests.clear()
    shared_origin.connections = shared_origin.most_open = 0
    yield shared_origin
    assert shared_origin.forbidden_connections == 0


@pytest.fixture
def make_fetcher(origin):
    """Build fetchers that may reach the origin and nothing else; a test of a deadline shortens it."""
    fetchers = []

    def build(**changes) -> Fetcher:
        options = {
            "allowed_networks": build_networks([f"{ORIGIN_ADDRESS}/32"]),
            "allowed_ports": frozenset({origin.port}),
            "requests_per_second_per_host": 0.0,
            "total_seconds": 10.0,
            "connect_seconds": 10.0,
            "read_seconds": 10.0,
            "most_bytes": MOST_BYTES,
            "lookup": name_server(),
        }
        fetcher = Fetcher(FetchPolicy(**{**options, **changes}))
        fetchers.append(fetcher)
        return fetcher

    yield build
    for fetcher in fetchers:
        fetcher.close()


def name_server(answers: dict[str, list[str]] | None = None):
    """Return a lookup that knows these names, each with its addresses, and no other."""

    def look_up(host, port, _family, kind):
        if host not in (answers or {}):
            raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")
        return [
            (socket.AF_INET6 if ":" in address else socket.AF_INET, kind, 6, "", (address, port))
            for address in answers[host]
        ]

    return look_up


def fetch_one(fetcher: Fetcher, url: str, **request) -> FetchResult | FetchError:
    """Return the outcome of one request."""
    (outcome,) = fetcher.fetch([FetchRequest(url=url, **request)])
    return outcome


def code_of(outcome: FetchResult | FetchError) -> str:
    """Return an error's code; a result has none."""
    assert isinstance(outcome, FetchError), f"expected an error, got {outcome}"
    return outcome.code

"""Addresses are sent as they were published: a signed one is an address of exactly these characters."""

import json
import os
from pathlib import Path

import hypothesis
import pytest
from hypothesis import strategies

from catalog.fetching.responses import FetchRequest
from tests.catalog.fetching.published_urls import ADDRESSES, build_fetcher, check_address
from tests.support.fetching import make_fetcher, origin, shared_origin
from tests.support.image_origin import response, running_origin

__all__ = ["make_fetcher", "origin", "shared_origin"]


def test_host_hears_what_was_published():
    with running_origin() as origin:
        fetcher = build_fetcher(origin)

        @hypothesis.settings(max_examples=80, database=None, derandomize=True)
        @hypothesis.given(strategies.fixed_dictionaries(ADDRESSES))
        def check(published: dict[str, str]) -> None:
            check_address(origin, fetcher, **published)

        try:
            check()
        finally:
            fetcher.close()


@pytest.mark.skipif("CASES_DIR" not in os.environ, reason="needs the folder of cases that CASES_DIR names")
def test_signed_addresses_are_fetched(make_fetcher, origin):
    targets = json.loads(Path(os.environ["CASES_DIR"], "pictures/signed.json").read_text())
    urls = [origin.serve(target, response(b"x")) for target in targets]
    redirects = [
        origin.serve(f"/{number}", response(b"", status="302 Found", headers=f"Location: {url}\r\n"))
        for number, url in enumerate(urls)
    ]

    outcomes = make_fetcher().fetch([FetchRequest(url) for url in urls + redirects])

    assert [outcome.data for outcome in outcomes] == [b"x"] * 2 * len(targets)

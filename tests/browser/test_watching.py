"""What counts as a fault of a page: what failed, not what somebody ended who went on before it was loaded."""

from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, Route, expect

from tests.browser.conftest import WatchedPage
from tests.support.browsing import PATIENT_MS

pytestmark = pytest.mark.processes

SITE = "http://site.example"
PAGES = {
    f"{SITE}/": "<img src=/never.png><a href=/next/>Next</a>",
    f"{SITE}/next/": "<h1>Next</h1>",
    f"{SITE}/broken/": "<img src=/refused.png>",
    f"{SITE}/aborting/": """
        <script>const ended = new AbortController(); fetch("/never.png", {signal: ended.signal}).catch(() => 0);
        ended.abort();</script>""",
    f"{SITE}/noisy/": "<script>console.error('noise')</script>",
}


@pytest.fixture
def watched(browser: Browser) -> Iterator[WatchedPage]:
    """A watched tab in front of a site of a few pages, of whose pictures one never comes and one is refused."""

    def answer(route: Route) -> None:
        url = route.request.url
        if url in PAGES:
            route.fulfill(body=PAGES[url], content_type="text/html")
        elif url.endswith("/refused.png"):
            route.abort("connectionrefused")
        elif not url.endswith("/never.png"):
            route.fulfill(status=204)

    context = browser.new_context()
    context.set_default_timeout(PATIENT_MS)
    context.route("**/*", answer)
    yield WatchedPage(context.new_page())
    context.close()


def open_page(watched: WatchedPage, address: str) -> None:
    watched.page.goto(f"{SITE}{address}", wait_until="commit")


def test_pictures_that_a_navigation_or_the_end_cut_off_are_no_fault(watched: WatchedPage) -> None:
    for _ in range(2):
        open_page(watched, "/")
        with watched.page.expect_event("requestfailed"):
            watched.page.get_by_role("link", name="Next").click()
        expect(watched.page.get_by_role("heading")).to_have_text("Next")
    open_page(watched, "/")
    expect(watched.page.get_by_role("link")).to_be_visible()
    watched.close()
    assert watched.faults == []


@pytest.mark.parametrize(
    "address, fault",
    [
        ("/broken/", "failed: http://site.example/refused.png net::ERR_CONNECTION_REFUSED"),
        ("/aborting/", "failed: http://site.example/never.png net::ERR_ABORTED"),
        ("/noisy/", "error: noise"),
    ],
)
def test_what_fails_is_a_fault_even_of_a_page_that_was_left(watched: WatchedPage, address: str, fault: str) -> None:
    event = "console" if address == "/noisy/" else "requestfailed"
    with watched.page.expect_event(event):
        open_page(watched, address)
    open_page(watched, "/next/")
    assert fault in watched.faults

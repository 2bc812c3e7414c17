"""The running product and a headless Chromium for it.

The product is `manage.py demo` on a folder of its own: an embedded database, a worker, and the site that people meet.
TEST_SITE names one that runs already, as http://admin:PASSWORD@127.0.0.1:8000, so that trying a test takes seconds.
Chromium is the system's (Debian's package `chromium-headless-shell` or `chromium`, or what CHROMIUM names); without one
these tests are skipped.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, BrowserContext, ConsoleMessage, Frame, Page, Request, sync_playwright

from tests.support.browsing import DemoSite, create_context, find_chromium, launch, read_site, sign_in
from tests.support.running_demo import RunningDemo

REPOSITORY = Path(__file__).resolve().parents[2]
#: What the pages looked like at the last run; git ignores the folder.
SCREENSHOTS = REPOSITORY / "var" / "screenshots"


@pytest.fixture(scope="package")
def demo_site(request: pytest.FixtureRequest) -> DemoSite:
    """The demo catalogue, labelled, with its worker and its site running."""
    if "TEST_SITE" in os.environ:
        return read_site(os.environ["TEST_SITE"])
    demo: RunningDemo = request.getfixturevalue("running_demo")
    return DemoSite(demo.address, demo.password)


@pytest.fixture(scope="package")
def browser() -> Iterator[Browser]:
    """A headless Chromium; skips where there is none."""
    program = find_chromium()
    if program is None:
        pytest.skip("needs Chromium: Debian's package chromium-headless-shell, or its path in CHROMIUM")
    with sync_playwright() as playwright:
        # One process for all pages of a profile and none for drawing, where there would be some for each page.
        browser = launch(playwright, program, "--process-per-site", "--renderer-process-limit=1", "--in-process-gpu")
        yield browser
        browser.close()


@pytest.fixture(scope="package")
def session(browser: Browser, demo_site: DemoSite) -> BrowserContext:
    """Somebody who has signed in as admin, by the form."""
    context = open_profile(browser, demo_site)
    sign_in(context, demo_site)
    return context


@pytest.fixture(scope="package")
def anybody(browser: Browser, demo_site: DemoSite) -> BrowserContext:
    """Somebody who has not signed in."""
    return open_profile(browser, demo_site)


def open_profile(browser: Browser, site: DemoSite) -> BrowserContext:
    """Return a new profile in which a tab stays, so that the others share its process, which has compiled what runs."""
    context = create_context(browser, site)
    context.new_page().goto("/sign-in/")
    return context


class WatchedPage:
    """A tab, and everything that went wrong in it: errors on the console, CSP violations, failed requests.

    Whoever leaves a page that still loads ends its requests; those did not fail.
    """

    def __init__(self, page: Page) -> None:
        self.page, self.faults, self._is_listening = page, list[str](), True
        self._pages_left, self._is_leaving = 0, False
        self._sent_after: dict[Request, int] = {}
        page.on("console", self._hear)
        page.on("pageerror", lambda error: self.faults.append(f"error: {error}"))
        page.on("request", self._follow)
        page.on("requestfinished", lambda request: self._sent_after.pop(request, None))
        page.on("requestfailed", self._judge)
        page.on("framenavigated", self._arrive)

    def stop(self) -> None:
        """Hear nothing of what comes from now on."""
        self._is_listening = False

    def close(self) -> None:
        """Close the tab."""
        self._pages_left += 1
        self.page.close()

    def _hear(self, message: ConsoleMessage) -> None:
        # A breach of the content-security policy is an error or a warning on the console, whichever directive it is.
        if self._is_listening and (message.type == "error" or "Content Security Policy" in message.text):
            self.faults.append(f"{message.type}: {message.text}")

    def _follow(self, request: Request) -> None:
        if request.is_navigation_request() and request.frame == self.page.main_frame:
            self._pages_left, self._is_leaving = self._pages_left + 1, True
        # What a page sends until the next one arrives is the former page's still.
        self._sent_after[request] = self._pages_left - self._is_leaving

    def _arrive(self, frame: Frame) -> None:
        if frame == self.page.main_frame:
            self._is_leaving = False

    def _judge(self, request: Request) -> None:
        was_left = self._sent_after.pop(request, self._pages_left) < self._pages_left
        if not (was_left and request.failure == "net::ERR_ABORTED"):
            self.faults.append(f"failed: {request.url} {request.failure}")


WATCHED: dict[Page, WatchedPage] = {}


@pytest.fixture
def member(session: BrowserContext) -> Iterator[Page]:
    """A tab of admin, in which nothing may go wrong."""
    yield from watch(session)


@pytest.fixture
def stranger(anybody: BrowserContext) -> Iterator[Page]:
    """A tab of somebody who has not signed in, in which nothing may go wrong."""
    yield from watch(anybody)


def watch(context: BrowserContext) -> Iterator[Page]:
    """Yield a new tab; fail if anything went wrong in it."""
    watched = WatchedPage(context.new_page())
    WATCHED[watched.page] = watched
    yield watched.page
    del WATCHED[watched.page]
    watched.close()
    assert watched.faults == []

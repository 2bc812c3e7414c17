"""A headless Chromium on a running site, for tests and for programs that measure pages."""

import os
import shutil
from dataclasses import dataclass
from urllib.parse import unquote, urlsplit

from playwright.sync_api import Browser, BrowserContext, Page, Playwright

DESKTOP, PHONE = 1280, 390
#: Slower than any machine that runs the tests, so that only what never comes fails.
PATIENT_MS = 60_000


@dataclass(frozen=True, slots=True)
class DemoSite:
    """The address of the running product, without a slash at its end, and the password of its user `admin`."""

    address: str
    password: str


def read_site(text: str) -> DemoSite:
    """Return the site that an address such as http://admin:PASSWORD@127.0.0.1:8000 names."""
    parts = urlsplit(text)
    return DemoSite(f"http://{parts.hostname}:{parts.port}", unquote(parts.password or ""))


def find_chromium() -> str | None:
    """Return the path of the system's Chromium, or None; its shell without windows takes less of a processor."""
    programs = ("chromium-headless-shell", "chromium", "google-chrome")
    return os.environ.get("CHROMIUM") or next(filter(None, map(shutil.which, programs)), None)


def launch(playwright: Playwright, program: str, *options: str) -> Browser:
    """Start the browser."""
    # Chromium's own sandbox refuses to run as root; the pages are ours.
    arguments = ["--no-sandbox"] if os.geteuid() == 0 else []
    return playwright.chromium.launch(executable_path=program, args=[*arguments, *options])


def create_context(browser: Browser, demo_site: DemoSite) -> BrowserContext:
    """Return a new profile of the browser whose addresses are those of the site."""
    context = browser.new_context(
        base_url=demo_site.address, viewport={"width": DESKTOP, "height": 900}, reduced_motion="reduce"
    )
    context.set_default_timeout(PATIENT_MS)
    return context


def sign_in(context: BrowserContext, site: DemoSite) -> None:
    """Sign in as admin, by the form."""
    page = context.new_page()
    page.goto("/sign-in/?next=/admin/")
    page.get_by_label("Username").fill("admin")
    page.get_by_label("Password").fill(site.password)
    page.get_by_role("button", name="Sign in").click()
    page.wait_for_url("**/admin/")
    page.close()


def wait_until_saved(page: Page) -> None:
    """Wait until the review page has sent what its reader said; the caller's time limit ends the wait."""
    while page.evaluate("Object.keys(localStorage).some((name) => name.startsWith('review-'))"):
        page.wait_for_timeout(50)

"""Every page on a desktop and a phone, light and dark: no serious accessibility finding, nothing wider than the screen.

Each leaves its screenshots in var/screenshots/. That nothing goes wrong on the console is asserted by the fixtures.
"""

from typing import Any

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Page

from tests.browser.conftest import DESKTOP, PHONE, SCREENSHOTS, WATCHED

pytestmark = pytest.mark.processes

PUBLIC = {
    "start": "/",
    "products": "/products/",
    "products-none": "/products/?group=Bags&garment=Trouser",
    "data": "/data/",
    "experiments": "/experiments/",
    "sign-in": "/admin/login/",
    "api-docs": "/api/v1/docs/",
}
SIGNED_IN = {
    "start-signed-in": "/",
    "products-signed-in": "/products/",
    "product": "/products/1/",
    "model-versions": "/model-versions/",
    "model-version": "/model-versions/1/",
    "training-runs": "/training-runs/",
    "labelling-runs": "/labelling-runs/",
    "labelling-run": "/labelling-runs/1/",
    "errors": "/errors/",
    "tokens": "/tokens/",
    "admin": "/admin/",
    "admin-products": "/admin/catalog/product/",
    "admin-product": "/admin/catalog/product/1/change/",
}
#: Rules that other projects' markup breaks: Swagger UI's colours and its links within buttons, and Django's tables of
#: inline forms, whose fields have the head of their column and no label.
FOREIGN = {"api-docs": {"color-contrast", "nested-interactive", "target-size"}, "admin-product": {"label"}}
SERIOUS = ("serious", "critical")
AXE = Axe()
#: The rules of WCAG 2.2 A and AA, and nothing reported but what breaks them.
AXE_OPTIONS = {
    "resultTypes": ["violations"],
    "runOnly": ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa"],
}


def list_findings(page: Page, *, excused: set[str]) -> list[str]:
    """Return the serious and critical accessibility findings of the page as it is shown, without `excused` rules."""
    results: dict[str, Any] = AXE.run(page, options=AXE_OPTIONS).response
    return [
        f"{finding['id']} ({finding['impact']}): {node['target']} {node['html'][:120]}"
        for finding in results["violations"]
        if finding["impact"] in SERIOUS and finding["id"] not in excused
        for node in finding["nodes"]
    ]


def look_at(page: Page, *, name: str) -> list[str]:
    """Take the page's screenshots, and return what is wrong with it in any of its four appearances."""
    # What examines the page writes style elements into it, which the policy of ours refuses.
    WATCHED[page].stop()
    SCREENSHOTS.mkdir(parents=True, exist_ok=True)
    wrong = []
    for scheme in ("light", "dark"):
        page.emulate_media(color_scheme=scheme)
        for width in (DESKTOP, PHONE):
            page.set_viewport_size({"width": width, "height": 900})
            page.screenshot(path=SCREENSHOTS / f"{name}-{width}-{scheme}.png")
            if (scheme, width) != ("dark", PHONE):  # the colours of one and the layout of the other
                wrong += [
                    f"{scheme}, {width}: {finding}" for finding in list_findings(page, excused=FOREIGN.get(name, set()))
                ]
            needed = page.evaluate("document.documentElement.scrollWidth")
            if needed > width:
                wrong.append(f"{scheme}, {width}: the page is {needed} wide")
    return wrong


def visit(page: Page, address: str) -> None:
    """Open the page and wait for its pictures, scripts and what they fetch."""
    answer = page.goto(address)
    assert answer is not None
    assert answer.status == 200
    page.wait_for_load_state("networkidle")


@pytest.mark.timeout(300)
@pytest.mark.parametrize("name", PUBLIC)
def test_a_page_for_everybody_is_sound(stranger: Page, name: str) -> None:
    visit(stranger, PUBLIC[name])
    assert look_at(stranger, name=name) == []


@pytest.mark.timeout(300)
@pytest.mark.parametrize("name", SIGNED_IN)
def test_a_page_behind_the_sign_in_is_sound(member: Page, name: str) -> None:
    visit(member, SIGNED_IN[name])
    assert look_at(member, name=name) == []

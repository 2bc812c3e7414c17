"""A picture that failed is mended on the page that shows it, by as few actions as there can be."""

import re
import time

import pytest
from playwright.sync_api import Locator, Page, expect

from tests.browser.conftest import PATIENT_MS
from tests.browser.test_import import Clicks, draw_trousers

pytestmark = [pytest.mark.timeout(300), pytest.mark.processes]

#: The address or the file, and the button.
ACTIONS = 2


def find_failure(page: Page) -> tuple[Locator, str]:
    """Return the first row of what was given up, and the address of the page of its product."""
    page.goto("/errors/?state=failed")
    row = page.locator(".failures > li").filter(has=page.get_by_role("link", name=re.compile("."))).first
    return row, row.locator(".meta a").first.get_attribute("href") or ""


def wait_for_label(page: Page, product: str) -> None:
    """Open the product's page until its picture has a label; the test's own time limit ends the wait."""
    while True:
        page.goto(product)
        if page.locator("header.product .chip").count():
            return
        time.sleep(0.5)


def test_a_broken_address_is_mended_where_it_failed(member: Page) -> None:
    member.goto("/products/1/")
    address = member.locator("figcaption code").first.inner_text()
    row, product = find_failure(member)
    broken = row.get_by_label("Address").input_value()
    clicks = Clicks()
    clicks.click(row.get_by_label("Address"))
    member.keyboard.press("ControlOrMeta+a")
    member.keyboard.type(address)
    clicks.click(row.get_by_role("button", name="Try again"))
    expect(member.get_by_role("status").first).to_contain_text("The address is replaced in 1 product.")
    assert clicks.number <= ACTIONS
    expect(member).to_have_url(re.compile(r"/errors/\?state=failed$"))
    expect(member.locator(f'input[value="{broken}"]')).to_have_count(0)
    wait_for_label(member, product)


def test_a_picture_file_stands_in_for_what_failed(member: Page) -> None:
    _, product = find_failure(member)
    member.goto(product)
    picture = member.get_by_role("article", name="Image 0")
    expect(picture).to_contain_text("The last try failed.")
    clicks = Clicks()
    file = {"name": "trousers.png", "mimeType": "image/png", "buffer": draw_trousers(120)}
    clicks.choose(member, picture.get_by_label("or a picture file"), [file])
    clicks.click(picture.get_by_role("button", name="Try again"))
    expect(member.get_by_role("status").first).to_have_text(
        "The address is replaced in 1 product. The picture is tried again.", timeout=PATIENT_MS
    )
    assert clicks.number <= ACTIONS
    wait_for_label(member, product)


def test_the_list_and_its_filter_are_one_step_back_and_show_the_present(member: Page) -> None:
    member.goto("/products/?group=Bags&ordering=confidence")
    member.locator("li.card a").first.click()
    product = member.get_by_role("heading", level=1).inner_text()
    member.get_by_role("button", name="Footwear").first.click()
    expect(member.locator("header.product .status")).to_have_text("Reviewed")
    member.get_by_role("link", name="The list").click()
    expect(member).to_have_url(re.compile(r"/products/\?group=Bags&ordering=confidence$"))
    expect(member.locator("li.card").filter(has_text=product)).to_have_count(0)
    # The browser's own way back asks the site as well.
    member.locator("li.card a").first.click()
    second = member.get_by_role("heading", level=1).inner_text()
    member.get_by_role("button", name="Footwear").first.click()
    expect(member.locator("header.product .status")).to_have_text("Reviewed")
    member.go_back()
    member.go_back()
    expect(member).to_have_url(re.compile(r"/products/\?group=Bags&ordering=confidence$"))
    expect(member.locator("li.card").filter(has_text=second)).to_have_count(0)

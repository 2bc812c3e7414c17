"""A picture that failed is mended on the page that shows it, by as few actions as there can be."""

import re
import time
from urllib.parse import urlsplit

import pytest
from playwright.sync_api import FilePayload, Page, expect

from tests.browser.test_import import Clicks, draw_trousers
from tests.support.browsing import PATIENT_MS

pytestmark = [pytest.mark.timeout(300), pytest.mark.processes]

#: The address or the file, and the button.
ACTIONS = 2


def import_broken(page: Page, title: str) -> str:
    """Import a product whose picture is nowhere, and have it labelled; return the address of its page."""
    content = f"title,image_urls\n{title},gone/{title}.jpg\n".encode()
    page.goto("/import/")
    file: FilePayload = {"name": "broken.csv", "mimeType": "text/csv", "buffer": content}
    page.get_by_label("Catalogue file, and a ZIP of pictures").set_input_files([file])
    page.get_by_role("button", name="Show what it would do").click()
    page.get_by_role("button", name="Import", exact=True).click()
    page.get_by_role("button", name="Label what came").click()
    expect(page.locator("#state")).to_contain_text("Done", timeout=PATIENT_MS)
    page.goto(f"/products/?search={title}")
    page.locator("li.card a").first.click()
    expect(page.get_by_role("article", name="Image 0")).to_contain_text("The last try failed.")
    return urlsplit(page.url).path


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
    product = import_broken(member, "Torn")
    member.goto("/errors/?state=failed")
    row = member.locator(".failures > li").filter(has=member.get_by_role("link", name="Torn"))
    expect(row.get_by_label("Address")).to_have_value("gone/Torn.jpg")
    clicks = Clicks()
    clicks.click(row.get_by_label("Address"))
    member.keyboard.press("ControlOrMeta+a")
    member.keyboard.type(address)
    clicks.click(row.get_by_role("button", name="Try again"))
    expect(member.get_by_role("status").first).to_contain_text("The address is replaced in 1 product.")
    assert clicks.number <= ACTIONS
    expect(member).to_have_url(re.compile(r"/errors/\?state=failed$"))
    expect(row).to_have_count(0)
    wait_for_label(member, product)


def test_a_picture_file_stands_in_for_what_failed(member: Page) -> None:
    product = import_broken(member, "Lost")
    picture = member.get_by_role("article", name="Image 0")
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
    member.wait_for_load_state("networkidle")
    member.locator("li.card a").first.click()
    member.wait_for_load_state("networkidle")
    product = member.get_by_role("heading", level=1).inner_text()
    member.get_by_role("button", name="Footwear").first.click()
    expect(member.locator("header.product .status")).to_have_text("Reviewed")
    member.wait_for_load_state("networkidle")
    member.get_by_role("link", name="The list").click()
    expect(member).to_have_url(re.compile(r"/products/\?group=Bags&ordering=confidence$"))
    expect(member.locator("li.card").filter(has_text=product)).to_have_count(0)
    member.wait_for_load_state("networkidle")
    # The browser's own way back asks the site as well.
    member.locator("li.card a").first.click()
    member.wait_for_load_state("networkidle")
    second = member.get_by_role("heading", level=1).inner_text()
    member.get_by_role("button", name="Footwear").first.click()
    expect(member.locator("header.product .status")).to_have_text("Reviewed")
    for _ in range(2):
        member.wait_for_load_state("networkidle")
        member.go_back()
    expect(member).to_have_url(re.compile(r"/products/\?group=Bags&ordering=confidence$"))
    expect(member.locator("li.card").filter(has_text=second)).to_have_count(0)

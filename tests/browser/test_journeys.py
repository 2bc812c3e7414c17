"""What people do: filter the grid, look at a product, watch a labelling run, work in the admin, use only keys."""

import re
from collections.abc import Iterator
from urllib.parse import urlsplit

import pytest
from playwright.sync_api import Browser, Page, expect

from tests.browser.conftest import watch
from tests.support.browsing import PATIENT_MS, PHONE, DemoSite, create_context

pytestmark = [pytest.mark.timeout(300), pytest.mark.processes]


def test_the_grid_is_narrowed_by_filters_that_stay_in_the_address(stranger: Page) -> None:
    stranger.goto("/products/")
    cards = stranger.get_by_role("main").locator("li.card")
    assert cards.count() > 12
    stranger.get_by_role("group", name="Group").get_by_text("Footwear").click()
    expect(stranger).to_have_url(re.compile(r"/products/\?group=Footwear$"))
    stranger.get_by_text("Filters").click()
    assert set(cards.locator(".chip").all_inner_texts()) == {"Footwear"}
    stranger.locator("summary", has_text="Garment").click()
    stranger.get_by_label("Sandal").check()
    stranger.locator("summary", has_text="Garment").click()
    expect(stranger).to_have_url(re.compile(r"group=Footwear.*garment=Sandal|garment=Sandal.*group=Footwear"))
    for _ in range(2):
        assert cards.count() > 0
        assert set(cards.locator(".garment").all_inner_texts()) <= {"Sandal", "Sandal, not sure"}
        stranger.reload()
    expect(stranger.locator("summary", has_text="Garment")).to_contain_text("Sandal")
    stranger.get_by_role("link", name="Clear").click()
    expect(stranger).to_have_url(re.compile(r"/products/$"))
    expect(stranger.locator("summary", has_text="Garment")).to_contain_text("Any")


def test_products_are_marked_and_taken_back_by_keys_while_the_page_stays(member: Page) -> None:
    member.goto("/products/?status=labelled")
    picks = member.get_by_role("checkbox", name=re.compile("^Choose "))
    first, third = (picks.nth(place).get_attribute("value") for place in (0, 2))
    picks.first.focus()
    for key in ("Space", "ArrowRight", "Space"):
        member.keyboard.press(key)
    expect(member.locator("[data-chosen]")).to_have_text("2 chosen")
    member.keyboard.press("5")
    expect(member.get_by_role("status").filter(has_text="2 products are marked as Bags.")).to_be_visible()
    expect(picks.first).to_have_attribute("value", str(third))
    expect(picks.first).to_be_focused()
    member.keyboard.press("z")
    expect(member.get_by_role("status").filter(has_text="2 of your labels are taken back.")).to_be_visible()
    expect(picks.first).to_have_attribute("value", str(first))


def test_the_arrows_lead_from_one_product_to_the_next_of_its_list(stranger: Page) -> None:
    stranger.goto("/products/?group=Bags&ordering=confidence")
    titles = stranger.locator("li.card .title").all_inner_texts()
    stranger.locator("li.card a").first.click()
    heading = stranger.get_by_role("heading", level=1)
    expect(heading).to_have_text(titles[0])
    for key, title in (("ArrowRight", titles[1]), ("ArrowRight", titles[2]), ("ArrowLeft", titles[1])):
        stranger.keyboard.press(key)
        expect(heading).to_have_text(title)
    stranger.get_by_role("link", name="The list").click()
    expect(stranger.locator("li.card .title").first).to_have_text(titles[0])


def test_a_product_shows_its_picture_its_label_and_why(stranger: Page) -> None:
    stranger.goto("/products/?group=Bags")
    card = stranger.get_by_role("main").locator("li.card").first
    title = card.locator(".title").inner_text()
    card.get_by_role("link").first.click()
    expect(stranger.get_by_role("heading", level=1)).to_have_text(title)
    picture = stranger.get_by_role("img", name="Image 0 of the product").first
    expect(picture).to_be_visible()
    assert picture.evaluate("image => image.naturalWidth") > 0
    expect(stranger.get_by_role("article", name="Image 0")).to_contain_text("Bags")
    why = stranger.locator(".why").first
    why.scroll_into_view_if_needed()
    expect(why.get_by_role("heading")).to_have_text("Why Bags", timeout=PATIENT_MS)
    seen = why.get_by_role("img", name="as the network saw it")
    expect(seen).to_be_visible()
    assert seen.evaluate("image => image.naturalWidth") > 0


def test_a_picture_opens_in_full_size_by_a_click_and_by_the_keyboard(stranger: Page) -> None:
    stranger.goto("/products/")
    small = stranger.locator(".picture").first.bounding_box()
    stranger.goto("/products/1/")
    picture = stranger.get_by_role("link", name="Image 0 of the product in full size")
    assert picture.bounding_box()["width"] > 2 * small["width"]
    width, height = re.search(
        "(\\d+) \N{MULTIPLICATION SIGN} (\\d+) pixels", stranger.locator("figcaption").first.inner_text()
    ).groups()
    for open_it in (picture.click, lambda: picture.press("Enter")):
        open_it()
        expect(stranger).to_have_url(re.compile(r"/pictures/[0-9a-f]{64}\.jpg$"))
        shown = stranger.evaluate("[document.images[0].naturalWidth, document.images[0].naturalHeight]")
        assert shown == [int(width), int(height)]
        stranger.go_back()


def test_a_labelling_run_is_started_and_watched_to_its_end(member: Page) -> None:
    member.goto("/labelling-runs/")
    form = member.get_by_role("form", name="Start a labelling run")
    form.get_by_label("Which pictures").select_option(value="true")
    form.get_by_label("At most").fill("40")
    form.get_by_role("button", name="Start labelling").click()
    expect(member).to_have_url(re.compile(r"/labelling-runs/\d+/$"))
    run = re.search(r"/(\d+)/$", member.url)[1]
    # The page keeps itself up to date: nothing is loaded by hand.
    expect(member.locator("#state")).to_contain_text("Done", timeout=PATIENT_MS)
    expect(member.locator("#figures")).to_contain_text("40 of 40")
    expect(member.get_by_role("button", name="Cancel this run")).to_have_count(0)
    member.goto("/labelling-runs/")
    row = member.get_by_role("row").filter(has=member.get_by_role("link", name=f"Run {run}", exact=True))
    expect(row).to_contain_text("Done")


def test_the_admin_lists_products_and_opens_one(member: Page) -> None:
    member.goto("/admin/catalog/product/")
    expect(member.get_by_role("heading", level=1)).to_contain_text("Select product")
    member.locator("#result_list tbody th a").first.click()
    expect(member.get_by_role("heading", level=1)).to_contain_text("Change product")
    member.goto("/admin/classifier/labeltask/")
    assert member.locator("#result_list tbody tr, .paginator").count() > 0


def test_keys_alone_reach_the_content_and_show_where_they_are(stranger: Page) -> None:
    stranger.goto("/products/")
    stranger.keyboard.press("Tab")
    skip = stranger.get_by_role("link", name="Skip to the content")
    expect(skip).to_be_focused()
    expect(skip).to_be_in_viewport()
    stranger.keyboard.press("Enter")
    expect(stranger.locator("main")).to_be_focused()
    stranger.keyboard.press("Tab")
    for _ in range(8):
        shown = stranger.evaluate(
            """() => {
              const style = getComputedStyle(document.activeElement);
              return document.activeElement.matches("main *") &&
                ((style.outlineStyle !== "none" && parseFloat(style.outlineWidth) > 0) || style.boxShadow !== "none");
            }"""
        )
        assert shown, stranger.evaluate("document.activeElement.outerHTML.slice(0, 200)")
        stranger.keyboard.press("Tab")


@pytest.fixture
def newcomer(browser: Browser, demo_site: DemoSite) -> Iterator[Page]:
    """A tab of somebody who was never here: nothing is in the browser's cache."""
    context = create_context(browser, demo_site)
    yield from watch(context)
    context.close()


def test_the_grid_is_light(newcomer: Page) -> None:
    """At most 60 kB without pictures, and one request before the first paint."""
    newcomer.set_viewport_size({"width": PHONE, "height": 844})
    answers = []
    newcomer.on("response", lambda answer: answers.append(answer))
    newcomer.goto("/products/")
    newcomer.wait_for_load_state("networkidle")
    kinds = {answer.url: answer.request.resource_type for answer in answers}
    assert "image" in kinds.values()
    assert {urlsplit(url).netloc for url in kinds} == {urlsplit(newcomer.url).netloc}
    others = [answer for answer in answers if not is_picture(answer.url, kinds[answer.url])]
    # What the cache answers has no size, and all of it from there would always be light.
    assert 20_000 < sum(answer.request.sizes()["responseBodySize"] for answer in others) <= 60_000
    blocking = newcomer.evaluate(
        "performance.getEntriesByType('resource').filter(e => e.renderBlockingStatus === 'blocking').map(e => e.name)"
    )
    assert [urlsplit(url).path for url in blocking] == ["/static/catalog/site.css"]


def is_picture(url: str, kind: str) -> bool:
    """Return whether what was loaded is a picture; the site's own icon is none."""
    return kind == "image" and not url.endswith(".svg")

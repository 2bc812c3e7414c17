"""A merchandiser at the review page: with few keys, by touch, without scripts; and nothing that they said is lost."""

import re
from collections.abc import Iterator
from typing import Any

import pytest
from playwright.sync_api import BrowserContext, Locator, Page, expect

from classifier.ml.labels import GROUPS
from tests.support.browsing import PATIENT_MS, PHONE, DemoSite, wait_until_saved

pytestmark = [pytest.mark.timeout(300), pytest.mark.processes]

#: Confident labels, each with a suggestion; the tests give a page of them away each.
QUEUE = "/review/list/?status=labelled"
PAGE = 24
#: The places of the tiles that a test corrects.
WRONG = (2, 3, 9, 14, 20, 23)
KEYS_WITH_POINTER, KEYS_ALONE = 8, 20
PHONE_HEIGHT, THUMB = 844, 44


class Hands:
    """Keys and clicks, counted; pointing is free."""

    def __init__(self, page: Page) -> None:
        self.page, self.number = page, 0

    def press(self, key: str) -> None:
        """Press a key."""
        self.number += 1
        self.page.keyboard.press(key)


def open_queue(page: Page) -> Locator:
    """Open a page of the queue on which nothing is labelled, and return its tiles.

    What another test left half done is filled up, which leads to the next page.
    """
    page.goto(QUEUE)
    tiles = page.get_by_role("option")
    expect(tiles).to_have_count(PAGE)
    if page.locator("#tiles .labelled").count():
        fill_page(page)
    return tiles


def fill_page(page: Page) -> None:
    """Accept what is left, and wait for the next page."""
    batch = get_batch(page)
    page.keyboard.press("a")
    expect(page.get_by_role("listbox")).not_to_have_attribute("data-batch", batch or "")


def choose_other(tile: Locator) -> str:
    """Return the key of a group that is not suggested."""
    return str(GROUPS.index(next(group for group in GROUPS if group != tile.get_attribute("data-suggestion"))) + 1)


def read_reviews(page: Page, batch: str | None) -> list[dict[str, Any]]:
    """Return the reviews of the batch that stand, once the page has sent what it has."""
    wait_until_saved(page)
    answer = page.request.get(f"/api/v1/reviews/?batch={batch}&withdrawn=false&page_size=100")
    return answer.json()["results"]


def read_suggestions(tiles: Locator) -> dict[int, str]:
    """Return what is suggested for each image."""
    return dict(tiles.evaluate_all("tiles => tiles.map(({dataset}) => [Number(dataset.image), dataset.suggestion])"))


def get_batch(page: Page) -> str | None:
    return page.get_by_role("listbox").get_attribute("data-batch")


@pytest.mark.parametrize("is_pointing, most", [(True, KEYS_WITH_POINTER), (False, KEYS_ALONE)])
def test_a_page_with_six_corrections_takes_few_keys(member: Page, is_pointing: bool, most: int) -> None:
    tiles, hands = open_queue(member), Hands(member)
    batch = get_batch(member)
    suggested = read_suggestions(tiles)
    for place in WRONG:
        tile = tiles.nth(place)
        key = choose_other(tile)
        if is_pointing:
            tile.hover()
        else:
            hands.press(tile.locator(".letter").inner_text())
        hands.press(key)
        expect(tile).to_have_class(re.compile("corrected"))
    hands.number += 1
    fill_page(member)
    assert hands.number <= most
    expect(tiles).to_have_count(PAGE)
    expect(tiles.first).to_be_focused()
    reviews = read_reviews(member, batch)
    assert len(reviews) == PAGE
    assert {review["queue"] for review in reviews} == {"list"}
    assert sum(review["group"] != suggested[review["image"]] for review in reviews) == len(WRONG)
    assert {review["image"]: review["suggestion"] for review in reviews} == suggested


def test_a_step_that_filled_a_page_is_undone_by_one_key(member: Page) -> None:
    tiles = open_queue(member)
    batch = get_batch(member)
    tiles.nth(5).hover()
    member.keyboard.press("5")
    fill_page(member)
    assert len(read_reviews(member, batch)) == PAGE
    member.keyboard.press("z")
    expect(member.get_by_role("listbox")).to_have_attribute("data-batch", batch or "")
    expect(member.locator("#tiles .labelled")).to_have_count(1)
    assert [review["group"] for review in read_reviews(member, batch)] == ["Bags"]
    member.keyboard.press("z")
    expect(member.locator("#tiles .labelled")).to_have_count(0)
    assert read_reviews(member, batch) == []


def test_ranges_are_taken_by_shift_with_the_pointer_and_with_arrows(member: Page) -> None:
    tiles = open_queue(member)
    tiles.nth(2).click()
    tiles.nth(6).hover()
    tiles.nth(4).click(modifiers=["Shift"])
    member.keyboard.press("6")
    said = member.locator("#tiles .said")
    assert said.all_inner_texts()[:6] == ["", "", *3 * ["None of these"], ""]
    member.mouse.move(0, 0)
    member.keyboard.press("End")
    member.keyboard.press("Shift+ArrowLeft")
    member.keyboard.press("x")
    assert said.all_inner_texts()[-3:] == ["", "Unusable", "Unusable"]
    member.keyboard.press("z")
    member.keyboard.press("z")
    expect(member.locator("#tiles .labelled")).to_have_count(0)
    assert read_reviews(member, get_batch(member)) == []


def test_a_second_key_names_the_garment(member: Page) -> None:
    tiles = open_queue(member)
    tiles.first.focus()
    member.keyboard.press("4")
    expect(tiles.nth(1)).to_be_focused()
    member.keyboard.press("9")
    expect(tiles.first).to_contain_text("Footwear, Ankle boot")
    (review, _) = read_reviews(member, get_batch(member))
    assert (review["group"], review["garment"]) == ("Footwear", "Ankle boot")
    member.keyboard.press("z")
    expect(tiles.first.locator(".said")).to_have_text("Footwear")
    member.keyboard.press("z")
    assert read_reviews(member, get_batch(member)) == []


def test_what_is_not_saved_yet_outlives_the_page(session: BrowserContext) -> None:
    cut_off = session.new_page()
    open_queue(cut_off)
    batch = get_batch(cut_off)
    cut_off.route("**/api/v1/reviews/", lambda route: route.abort())
    for key in "123":
        cut_off.keyboard.press(key)
    expect(cut_off.get_by_text("The site does not answer at the moment")).to_be_visible()
    expect(cut_off.locator("#tiles .labelled")).to_have_count(3)
    # The same person comes back, in another tab, and the site answers there.
    page = session.new_page()
    page.goto(QUEUE)
    said = page.locator("#tiles .said")
    assert get_batch(page) == batch
    assert said.all_inner_texts()[:4] == [*GROUPS[:3], ""]
    cut_off.close()
    assert sorted(review["group"] for review in read_reviews(page, batch)) == sorted(GROUPS[:3])
    # What the site says of them then is the same.
    page.reload()
    assert said.all_inner_texts()[:4] == [*GROUPS[:3], ""]
    page.close()


def test_a_label_that_came_from_elsewhere_meanwhile_is_shown_and_stands(member: Page) -> None:
    tiles = open_queue(member)
    first = tiles.locator("css=:scope:not(.labelled)").first
    image = int(first.get_attribute("data-image") or 0)
    token = next(cookie["value"] for cookie in member.context.cookies() if cookie["name"] == "csrftoken")
    member.request.post(
        "/api/v1/reviews/",
        data={"image": image, "verdict": "unusable"},
        headers={"X-CSRFToken": token, "Referer": member.url},
    )
    tile = member.locator(f"[data-image='{image}']")
    tile.hover()
    member.keyboard.press("1")
    expect(tile).to_contain_text("You said Unusable since this was shown")
    expect(tile).not_to_have_class(re.compile("labelled"))
    expect(member.get_by_role("alert").filter(has_text="that label stands")).to_be_visible()
    # Knowing of it, the reader may say otherwise.
    member.keyboard.press("1")
    expect(tile.locator(".said")).to_have_text("Upper part")
    (review,) = [review for review in read_reviews(member, get_batch(member)) if review["image"] == image]
    assert review["group"] == "Upper part"


def test_the_picture_is_shown_large_with_its_reasons_and_goes_on_with_the_keys(member: Page) -> None:
    open_queue(member)
    title = member.locator("#tiles [tabindex='0'] .title").inner_text()
    member.keyboard.press("Enter")
    look = member.get_by_role("dialog", name="The picture at large")
    expect(look.get_by_role("heading", level=2)).to_have_text(title)
    expect(look.get_by_role("heading", name="Why")).to_be_visible()
    expect(look.get_by_role("img", name="as the network saw it")).to_be_visible()
    assert look.locator(".picture img").first.evaluate("image => image.decode().then(() => image.naturalWidth)") > 0
    member.keyboard.press("ArrowRight")
    expect(look.get_by_role("heading", level=2)).not_to_have_text(title)
    member.keyboard.press("Escape")
    expect(look).to_be_hidden()
    expect(member.get_by_role("option").nth(1)).to_be_focused()
    member.keyboard.press("?")
    expect(member.get_by_role("dialog", name="Keys")).to_be_visible()


@pytest.fixture
def phone(session: BrowserContext, demo_site: DemoSite) -> Iterator[Page]:
    """A phone that admin has signed in with."""
    yield from open_elsewhere(
        session, demo_site, has_touch=True, is_mobile=True, viewport={"width": PHONE, "height": 844}
    )


@pytest.fixture
def plain(session: BrowserContext, demo_site: DemoSite) -> Iterator[Page]:
    """A browser of admin's that runs no script."""
    yield from open_elsewhere(session, demo_site, java_script_enabled=False)


def open_elsewhere(session: BrowserContext, site: DemoSite, **options: Any) -> Iterator[Page]:
    """Yield a page of another browser with the same sign-in."""
    assert session.browser is not None
    context = session.browser.new_context(storage_state=session.storage_state(), base_url=site.address, **options)
    context.set_default_timeout(PATIENT_MS)
    yield context.new_page()
    context.close()


def test_a_thumb_labels_a_page(phone: Page) -> None:
    tiles = open_queue(phone)
    batch = get_batch(phone)
    assert phone.evaluate("document.documentElement.scrollWidth") <= PHONE
    tiles.nth(4).tap()
    phone.get_by_role("button", name="Bags").tap()
    expect(tiles.nth(4).locator(".said")).to_have_text("Bags")
    expect(tiles.nth(5)).to_be_focused()
    for button in phone.locator("#bar button:visible").all():
        box = button.bounding_box()
        assert box is not None
        assert box["y"] > PHONE_HEIGHT / 2
        assert box["y"] + box["height"] <= PHONE_HEIGHT
        assert box["height"] >= THUMB or "garments" in (button.locator("..").get_attribute("class") or "")
    phone.get_by_role("button", name="Undo").tap()
    expect(tiles.nth(4).locator(".said")).to_be_hidden()
    assert read_reviews(phone, batch) == []


def test_without_scripts_a_page_is_a_form(plain: Page) -> None:
    plain.goto(QUEUE)
    groups = plain.get_by_role("group", name="Label of")
    expect(groups).to_have_count(PAGE)
    batch = plain.locator("#tiles ol").get_attribute("data-batch")
    first = plain.locator("#tiles li").first
    group = next(name for name in GROUPS if name != first.get_attribute("data-suggestion"))
    groups.first.get_by_label(group).check()
    groups.nth(1).get_by_label("None of these").check()
    plain.get_by_role("button", name="Save", exact=True).click()
    # The rest of the page comes again, with what was said.
    assert plain.locator("#tiles ol").get_attribute("data-batch") == batch
    expect(groups.first.get_by_label(group)).to_be_checked()
    plain.get_by_role("button", name="Save, and accept the other suggestions").click()
    assert plain.locator("#tiles ol").get_attribute("data-batch") != batch
    reviews = plain.request.get(f"/api/v1/reviews/?batch={batch}&withdrawn=false&page_size=100").json()["results"]
    assert len(reviews) == PAGE
    assert sum(review["verdict"] == "none_of_these" for review in reviews) == 1


def read_standing(page: Page) -> str:
    """Return how many labels of a run stand, as its page says."""
    return page.locator("#figures div", has=page.get_by_text("Labels that stand")).locator("dd").inner_text()


def test_labels_that_many_got_at_once_are_withdrawn_as_one(member: Page) -> None:
    shown = "/products/?group=Upper+part&ordering=confidence"
    member.goto(shown)
    before = member.locator("li.card").all_inner_texts()
    member.goto("/admin/catalog/product/?group=Upper+part")
    member.locator("#action-toggle").check()
    member.get_by_role("button", name=re.compile("^Select all")).click()
    member.get_by_label("Action:").select_option("Mark as Unusable")
    member.locator("button[name='index']").click()
    expect(member.get_by_text("These are too many to mark while you wait")).to_be_visible()
    member.get_by_role("button", name="Start the run").click()
    member.get_by_role("link", name=re.compile("^Review run")).click()
    expect(member.locator("#state")).to_contain_text("Done", timeout=PATIENT_MS)
    number = int(read_standing(member))
    assert number > 100
    run = member.url
    member.goto(shown)
    expect(member.locator("li.card")).to_have_count(0)
    member.goto("/review/")
    member.get_by_role("link", name=f"Unusable, {number} pictures").first.click()
    expect(member).to_have_url(run)
    member.get_by_role("button", name="Withdraw all its labels").click()
    expect(member.locator("#state")).to_contain_text("Withdrawn", timeout=PATIENT_MS)
    expect(member.get_by_role("button", name="Withdraw all its labels")).to_have_count(0)
    assert read_standing(member) == "0"
    member.goto(shown)
    assert member.locator("li.card").all_inner_texts() == before

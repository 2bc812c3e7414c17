"""Every page on a desktop and a phone, light and dark: no serious accessibility finding, nothing wider than the screen.

Each leaves its screenshots in var/screenshots/. That nothing goes wrong on the console is asserted by the fixtures.
"""

from io import BytesIO
from typing import Any
from uuid import uuid4

import pytest
from axe_playwright_python.sync_playwright import Axe
from PIL import Image as PillowImage
from playwright.sync_api import Page, expect

from tests.browser.conftest import SCREENSHOTS, WATCHED
from tests.support.browsing import DESKTOP, PHONE

pytestmark = pytest.mark.processes

PUBLIC = {
    "start": "/",
    "products-none": "/products/?group=Bags&garment=Trouser",
    "data": "/data/",
    "experiments": "/experiments/",
    "sign-in": "/sign-in/",
    "admin-sign-in": "/admin/login/",
    "api-docs": "/api/v1/docs/",
}
SIGNED_IN = {
    "start-signed-in": "/",
    "products-signed-in": "/products/",
    "product": "/products/1/",
    "import": "/import/",
    "review-queues": "/review/",
    "review": "/review/list/?status=labelled&group=Footwear",
    "model-versions": "/model-versions/",
    "model-version": "/model-versions/1/",
    "accuracy": "/accuracy/",
    "figures": "/figures/",
    "drift": "/drift/",
    "evaluations": "/evaluations/",
    "training-runs": "/training-runs/",
    "labelling-runs": "/labelling-runs/",
    "labelling-run": "/labelling-runs/1/",
    "errors": "/errors/",
    "password": "/password/",
    "tokens": "/tokens/",
    "admin": "/admin/",
    "admin-products": "/admin/catalog/product/",
    "admin-product": "/admin/catalog/product/1/change/",
}
#: Rules that other projects' markup breaks: Swagger UI's colours and its links within buttons, and Django's tables of
#: inline forms, whose fields have the head of their column and no label.
FOREIGN = {
    "api-docs": {"color-contrast", "nested-interactive", "target-size"},
    "admin-product": {"label", "empty-table-header"},
}
#: Pages whose controls another project draws.
FOREIGN_PAGES = {"api-docs"}
SERIOUS = ("serious", "critical")
#: Rules beyond these that our own markup keeps, whatever their weight.
ALSO = ("empty-table-header", "landmark-unique")
AXE_SCRIPT = Axe().axe_script
#: The rules of WCAG 2.2 A and AA and a few more, and nothing reported but what breaks them.
AXE_OPTIONS = {
    "resultTypes": ["violations"],
    "runOnly": ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa"],
    "rules": {name: {"enabled": True} for name in ALSO},
}
#: Of these, the rules that look at colours, which take the greater part of the time.
COLOURS = ("color-contrast", "link-in-text-block")
#: How a page is examined: its colours in both schemes, but for what a dark phone alone shows.
APPEARANCES = (("light", DESKTOP), ("light", PHONE), ("dark", DESKTOP))


#: The names of selects, and of inputs with a placeholder, that are narrower than what they may say.
LIST_CUT_CONTROLS = """() => [...document.querySelectorAll("main :is(select, [placeholder])")].filter((control) => {
  if (!control.checkVisibility()) return false;
  if (control.tagName === "INPUT") {
    const style = getComputedStyle(control), pen = document.createElement("canvas").getContext("2d");
    pen.font = `${style.fontSize} ${style.fontFamily}`;
    const arrows = control.list || control.type === "number" ? 20 : 0;
    const room = control.clientWidth - parseFloat(style.paddingLeft) - parseFloat(style.paddingRight) - arrows;
    return pen.measureText(control.placeholder).width > room;
  }
  const width = control.offsetWidth;
  control.style.width = "max-content";
  const needed = control.offsetWidth;
  control.style.width = "";
  return needed > width;
}).map((control) => control.name)"""


#: What there may be many of.
ALIKE = "li, tr, article, figure, section, svg, g, div"
#: Takes away what looks as two before it in the page do, but for words and numbers: rows, cards, pictures.
THIN_OUT = """(kinds) => {
  const times = {};
  for (const element of document.querySelectorAll(`main :is(${kinds}):not(th *)`)) {
    const look = element.outerHTML.replace(/>[^<]+/g, ">").replace(/ (?!class|type|role)[-:\\w]+="[^"]*"/g, "");
    times[look] = (times[look] ?? 0) + 1;
    if (times[look] > 2) element.remove();
  }
}"""


#: Shows at once the colours to which the page is on its way.
END_TRANSITIONS = """() => document.getAnimations().forEach((one) => {
  if (one instanceof CSSTransition) one.finish();
})"""


#: Examines with rules what is shown; keeps what that is, or with a second argument leaves out what was kept.
EXAMINE = """([options, isRest]) => {
  const shown = [...document.body.querySelectorAll("*")].filter((element) => element.checkVisibility());
  const rest = shown.filter((element) => !window.wasShown?.has(element));
  if (!isRest) window.wasShown = new WeakSet(shown);
  if (isRest && !rest.length) return [];
  return axe.run(isRest ? {include: rest} : document, options).then((found) => found.violations);
}"""


#: What the keyboard can be on in our own pages without being seen to be there, or not at all.
LIST_UNSEEN_FOCUS = """() => [...document.querySelectorAll(
  "header.site a, main:not(#content-start) :is(a, button, input:not([type=hidden]), select, summary, [tabindex='0'])",
)].filter((element) => {
  if (!element.checkVisibility()) return false;
  element.focus({focusVisible: true, preventScroll: true});
  const style = getComputedStyle(element);
  return document.activeElement !== element || style.outlineStyle === "none" || parseFloat(style.outlineWidth) < 2;
}).map((element) => element.outerHTML.slice(0, 100))"""


def examine(page: Page, options: dict[str, Any], *, is_rest: bool = False) -> list[dict[str, Any]]:
    """Return what axe-core finds on the page as it is shown, or on what was not shown at the call before."""
    if not page.evaluate("'axe' in window"):
        page.evaluate(AXE_SCRIPT)
    findings: list[dict[str, Any]] = page.evaluate(EXAMINE, [options, is_rest])
    return findings


def list_findings(page: Page, *, scheme: str, width: int, excused: set[str]) -> list[str]:
    """Return the serious and critical accessibility findings of the page as it is shown, without `excused` rules.

    The layout is looked at in both widths, and each colour once in each scheme.
    """
    colours = {"resultTypes": ["violations"], "runOnly": [name for name in COLOURS if name not in excused]}
    unwanted = excused if (scheme, width) == ("light", DESKTOP) else {*excused, *COLOURS}
    layout = AXE_OPTIONS | {"rules": AXE_OPTIONS["rules"] | {name: {"enabled": False} for name in unwanted}}
    findings = examine(page, layout) if scheme == "light" else examine(page, colours)
    if (scheme, width) == ("light", PHONE):
        findings += examine(page, colours, is_rest=True)
    return [
        f"{finding['id']} ({finding['impact']}): {node['target']} {node['html'][:120]}"
        for finding in findings
        if finding["impact"] in SERIOUS or finding["id"] in ALSO
        for node in finding["nodes"]
    ]


def look_at(page: Page, *, name: str) -> list[str]:
    """Take the page's screenshots, and return what is wrong with it in any of its appearances.

    Of what looks alike in it, such as the cards of a grid, two are examined; the page is without the others then.
    """
    # What examines the page writes style elements into it, which the policy of ours refuses.
    WATCHED[page].stop()
    SCREENSHOTS.mkdir(parents=True, exist_ok=True)
    wrong = []
    for scheme, width in (("dark", PHONE), ("light", DESKTOP)):
        page.emulate_media(color_scheme=scheme)
        page.set_viewport_size({"width": width, "height": 900})
        page.screenshot(path=SCREENSHOTS / f"{name}-{width}-{scheme}.png")
        needed = page.evaluate("document.documentElement.scrollWidth")
        if needed > width:
            wrong.append(f"{width}: the page is {needed} wide")
    wrong += [f"the control {control} cuts its text" for control in page.evaluate(LIST_CUT_CONTROLS)]
    page.evaluate(THIN_OUT, ALIKE)
    for scheme, width in APPEARANCES:
        page.emulate_media(color_scheme=scheme)
        page.set_viewport_size({"width": width, "height": 900})
        page.evaluate(END_TRANSITIONS)
        findings = list_findings(page, scheme=scheme, width=width, excused=FOREIGN.get(name, set()))
        if name not in FOREIGN_PAGES:
            findings += [f"no focus to be seen on {element}" for element in page.evaluate(LIST_UNSEEN_FOCUS)]
        wrong += [f"{scheme}, {width}: {finding}" for finding in findings]
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
    if name in WITH_SHAPES:
        assert draw_shapes(member, name=name) == []


#: Width and height in pixels of pictures of every shape; thumbnails are as large.
SHAPES = ((240, 320), (320, 240), (320, 320), (64, 320), (320, 64))
#: Pages above on which pictures of every shape are drawn, and more of such pages.
WITH_SHAPES = {
    "start-signed-in",
    "products-signed-in",
    "product",
    "review",
    "errors",
    "admin-products",
    "admin-product",
}
WITH_PICTURES = {
    "similar": "/products/1/similar/",
    "why": "/images/1/explanation/",
    "admin-images": "/admin/catalog/image/",
    "admin-image": "/admin/catalog/image/1/change/",
    "admin-classifications": "/admin/classifier/classification/",
}
FAILURE = """<ul class="failures"><li><div class="picture">
  <img src="/thumbnails/320-320.jpg" alt="" width="64" height="64">
</div></li></ul>"""
#: Puts pictures of a shape in place of the page's own. Returns how many are drawn, and what is wrong with how: cut by
#: what they lie in, of another ratio than their own, or hardly to be seen.
DRAW = """async (shape) => {
  const images = [...document.querySelectorAll("main img[src*='/thumbnails/']")];
  const drawings = [...document.querySelectorAll("main image[href*='/thumbnails/']")];
  images.forEach((image) => (image.loading = "eager"));
  await Promise.all(images.map((image) => image.decode()));
  images.forEach((image) => (image.src = `/thumbnails/${shape}.jpg`));
  await Promise.all(images.map((image) => image.decode()));
  await Promise.all(drawings.map((drawing) => new Promise((resolve) => {
    drawing.addEventListener("load", resolve, {once: true});
    drawing.setAttribute("href", `/thumbnails/${shape}.jpg`);
  })));
  const pictures = [...images, ...drawings];
  const wrong = pictures.flatMap((picture) => {
    const box = picture.getBoundingClientRect();
    const frame = picture.closest(".picture, svg, td, .readonly").getBoundingClientRect();
    const isWhole = box.left >= frame.left - 0.5 && box.right <= frame.right + 0.5
      && box.top >= frame.top - 0.5 && box.bottom <= frame.bottom + 0.5;
    const keepsRatio = picture.tagName !== "IMG" || getComputedStyle(picture).objectFit === "contain"
      || Math.abs(box.width / box.height - picture.naturalWidth / picture.naturalHeight) < 0.02;
    return isWhole && keepsRatio && Math.min(box.width, box.height) >= 24
      ? [] : [`${box.width} x ${box.height} in ${frame.width} x ${frame.height}`];
  });
  return [pictures.length, wrong];
}"""


def draw_shapes(page: Page, *, name: str) -> list[str]:
    """Draw pictures of every shape in place of the page's own; return what is wrong with how they are shown."""
    pictures = {f"{width}-{height}.jpg": draw_picture(width, height) for width, height in SHAPES}
    page.route("**/thumbnails/*-*.jpg", lambda route: route.fulfill(body=pictures[route.request.url.split("/")[-1]]))
    if name == "errors":  # the demo's pictures can all be read
        page.locator("main").evaluate("(main, failures) => (main.innerHTML = failures)", FAILURE)
    for place in page.locator(".why, .similar").all():
        place.scroll_into_view_if_needed()
    page.wait_for_load_state("networkidle")
    wrong = []
    for screen in (DESKTOP, PHONE):
        page.set_viewport_size({"width": screen, "height": 900})
        for width, height in SHAPES:
            drawn, faults = page.evaluate(DRAW, f"{width}-{height}")
            assert drawn > 0
            wrong += [f"{screen}, {width} x {height}: {fault}" for fault in faults]
    return wrong


@pytest.mark.timeout(300)
@pytest.mark.parametrize("name", WITH_PICTURES)
def test_pictures_are_shown_whole_whatever_their_shape(member: Page, name: str) -> None:
    visit(member, WITH_PICTURES[name])
    assert draw_shapes(member, name=name) == []


def draw_picture(width: int, height: int) -> bytes:
    """Return a JPEG of this size in pixels."""
    picture = BytesIO()
    PillowImage.new("RGB", (width, height), "teal").save(picture, "JPEG")
    return picture.getvalue()


def test_pictures_of_the_data_are_drawn_whole(stranger: Page) -> None:
    visit(stranger, "/data/")
    boxes = stranger.locator(".tile").evaluate_all(
        """tiles => tiles.map((tile) => {
          const box = tile.getBoundingClientRect();
          return [box.width, box.height, tile.viewBox.baseVal.width, tile.viewBox.baseVal.height];
        })"""
    )
    assert boxes
    assert [box for box in boxes if abs(box[0] / box[1] - box[2] / box[3]) > 0.02] == []


def test_experiments_are_sections_that_open(stranger: Page) -> None:
    WATCHED[stranger].stop()  # axe writes styles into the page
    for width, most in ((DESKTOP, 3_000), (PHONE, 4_000)):
        stranger.set_viewport_size({"width": width, "height": 900})
        visit(stranger, "/experiments/")
        assert stranger.evaluate("document.documentElement.scrollHeight") < most
    plots = stranger.locator("section[aria-labelledby=default-title]").get_by_role("table")
    assert plots.count() == 0
    # By a link, as from another page, and by the keyboard.
    stranger.get_by_role("navigation", name="Sections").get_by_role("link", name="Recipe default").click()
    expect(plots.first).to_be_visible()
    stranger.locator("summary").last.focus()
    stranger.keyboard.press("Enter")
    expect(stranger.locator("details").last).to_have_attribute("open", "")
    stranger.locator("details").evaluate_all("sections => sections.forEach((section) => (section.open = true))")
    assert examine(stranger, {"runOnly": list(ALSO)}) == []


def test_no_list_of_the_admin_is_cut(member: Page) -> None:
    member.goto("/admin/")
    addresses = member.eval_on_selector_all("#content-main th a", "links => links.map((link) => link.href)")
    assert len(addresses) > 10
    for address in addresses:
        member.goto(address)
        widths = member.eval_on_selector_all(
            ".results", "rows => rows.map((row) => [row.scrollWidth, row.clientWidth])"
        )
        assert all(needed <= width for needed, width in widths), f"{address}: {widths}"


def test_a_long_address_makes_no_page_of_the_admin_wider(member: Page) -> None:
    address = f"https://shop.example/{300 * 'a'}{uuid4()}.jpg"
    member.goto("/admin/catalog/image/add/")
    member.get_by_label("Url").fill(address)
    member.get_by_role("button", name="Save and continue editing").click()
    for link in (None, "Replace the address"):
        if link:
            member.get_by_role("link", name=link).click()
        expect(member.get_by_text(address).first).to_be_visible()
        for width in (DESKTOP, PHONE):
            member.set_viewport_size({"width": width, "height": 900})
            assert member.evaluate("document.documentElement.scrollWidth") <= width
    box = member.get_by_label("New address").bounding_box()
    assert box["x"] + box["width"] <= PHONE

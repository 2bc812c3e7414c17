"""A merchandiser's first catalogue: from the start page to labelled products, by as few clicks as there can be."""

import re
from io import BytesIO
from zipfile import ZipFile

import pytest
from PIL import Image as PillowImage
from PIL import ImageDraw
from playwright.sync_api import FilePayload, Locator, Page, expect

from tests.browser.conftest import WATCHED
from tests.browser.test_pages import look_at
from tests.support.browsing import PATIENT_MS

pytestmark = [pytest.mark.timeout(300), pytest.mark.processes]

#: Menu, files, preview, import, label.
CLICKS = 5


class Clicks:
    """Clicks, counted; files are chosen by the one that opens the chooser."""

    def __init__(self) -> None:
        self.number = 0

    def click(self, target: Locator) -> None:
        """Click where a person would."""
        self.number += 1
        target.click()

    def choose(self, page: Page, target: Locator, files: list[FilePayload]) -> None:
        """Open the chooser and choose the files."""
        with page.expect_file_chooser() as chooser:
            self.click(target)
        chooser.value.set_files(files)


def draw_trousers(shade: int) -> bytes:
    """Return a picture of something with two legs."""
    picture = PillowImage.new("RGB", (300, 400), "white")
    ImageDraw.Draw(picture).polygon(
        [(90, 40), (210, 40), (235, 370), (170, 370), (150, 140), (130, 370), (65, 370)], fill=(shade, 40, 90)
    )
    content = BytesIO()
    picture.save(content, "PNG")
    return content.getvalue()


def build_files() -> list[FilePayload]:
    archive = BytesIO()
    with ZipFile(archive, "w") as file:
        for number in range(3):
            file.writestr(f"pictures/trousers {number}.png", draw_trousers(60 * number))
    rows = ["Titel;Name;Bild;Image", *(f";Hose für {number} Größen;;trousers {number}.png" for number in range(3))]
    rows.append(";Hose, zerrissen;;https://shop.example/trousers torn.png")
    return [
        {"name": "hosen.csv", "mimeType": "text/csv", "buffer": "\r\n".join(rows).encode("cp1252")},
        {"name": "pictures.zip", "mimeType": "application/zip", "buffer": archive.getvalue()},
    ]


def test_a_first_catalogue_is_labelled_within_five_clicks(member: Page) -> None:
    clicks = Clicks()
    member.goto("/")
    clicks.click(member.get_by_role("navigation", name="Site").get_by_role("link", name="Import"))
    clicks.choose(member, member.get_by_label("Catalogue file, and a ZIP of pictures"), build_files())
    clicks.click(member.get_by_role("button", name="Show what it would do"))
    main = member.get_by_role("main")
    expect(main).to_contain_text('Read as CSV, Windows-1252, ";"')
    expect(main).to_contain_text("3 products, 3 pictures: 1.0 a product, 1 at most.")
    expect(main).to_contain_text("The ZIP has 3 pictures, of which the rows use 3.")
    expect(main).to_contain_text("expected %20 for a space within an address")
    clicks.click(member.get_by_role("button", name="Import", exact=True))
    expect(main).to_contain_text("hosen.csv is imported: 3 created, 0 changed, 0 unchanged, 1 row refused.")
    # One step back is no form that the browser would send again, and says the same.
    member.go_back()
    expect(main).to_contain_text("hosen.csv is imported: 3 created")
    with member.expect_download() as download:
        member.get_by_role("link", name="Download these rows").click()
    assert download.value.suggested_filename == "refused-hosen.csv"
    clicks.click(member.get_by_role("button", name="Label what came"))
    expect(member).to_have_url(re.compile(r"/labelling-runs/\d+/$"))
    expect(member.locator("#state")).to_contain_text("Done", timeout=PATIENT_MS)
    came = member.get_by_role("list", name="Newest products that it labelled")
    expect(came.get_by_role("listitem").filter(has_text="Hose für").locator("img")).to_have_count(3)
    assert clicks.number <= CLICKS
    member.goto("/products/")
    cards = member.get_by_role("main").locator("li.card").filter(has_text="Hose für")
    expect(cards).to_have_count(3)
    expect(cards.locator("img")).to_have_count(3)
    for card in cards.all():
        expect(card).not_to_contain_text("Pending")


@pytest.mark.parametrize("name", ["import-preview", "import-unread"])
def test_what_comes_of_an_upload_is_sound(member: Page, name: str) -> None:
    files = build_files() if name == "import-preview" else [{**build_files()[0], "buffer": b"PK\x03\x04 xl/"}]
    member.goto("/import/")
    member.get_by_label("Catalogue file, and a ZIP of pictures").set_input_files(files)
    # What could not be read is answered with the status that says so, which browsers write on the console.
    WATCHED[member].stop()
    member.get_by_role("button", name="Show what it would do").click()
    member.get_by_text("Read the file in another way").wait_for()
    assert look_at(member, name=name) == []

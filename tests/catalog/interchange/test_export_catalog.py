"""The export command: what it writes, that importing it again changes nothing, and how it fails."""

import csv
import io
import json
import random
import zipfile
from pathlib import Path
from typing import Any

import pytest
from django.core.management import CommandError, call_command
from django.db import connection
from django.test.utils import CaptureQueriesContext
from PIL import Image as PillowImage

from catalog.interchange.cells import defuse_cell, restore_cell
from catalog.models import Image, Product, ProductLabel
from classifier.ml.labels import GARMENTS
from tests.support.factories import create_product
from tests.support.fakes import (
    RED_FIRST,
    RED_STEP,
    create_model_version,
    create_painted_image,
    create_stored_image,
)
from tests.support.importing import Importer, counts, read_catalogue
from tests.support.labels import create_labelled_product, label_everything

pytestmark = [pytest.mark.django_db, pytest.mark.both_databases]

FORMULAS = ["=1+1", "+1", "-1", "@SUM(A1)", "'=1", "''=1", "'quoted'", "\uff1d1", "plain", "1-2", "it's"]


def export(path: Path, **options: Any) -> dict[str, Any]:
    """Export to the path by the command and return its JSON document."""
    output = io.StringIO()
    call_command("export_catalog", output=str(path), json=True, stdout=output, stderr=io.StringIO(), **options)
    return json.loads(output.getvalue())


def read_lines(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text().splitlines()]


def list_files(folder: Path) -> list[str]:
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file())


def build_jpeg(garment: str) -> bytes:
    """The bytes of a JPEG file that shows the garment to the fake classifier."""
    buffer = io.BytesIO()
    colour = (RED_FIRST + RED_STEP * GARMENTS.index(garment), 0, 0)
    PillowImage.new("RGB", (32, 32), colour).save(buffer, "JPEG", quality=95)
    return buffer.getvalue()


def fill_catalogue() -> None:
    """Products with formulas, line ends, quotes, many countries, no image, no text, and media names."""
    for number, text in enumerate(FORMULAS):
        create_product(text, images=[f"-{number}.png"], descriptions={"us": (text, None), "at": (None, text)})
    create_product('Line\r\nend, "quotes"', images=["a.png", "b.png"], descriptions={"us": ("a\rb\nc", "c\u2028d")})
    create_product("Bare")
    create_product("No text", descriptions={"fr": (None, None)})
    create_product("Formula of full length", descriptions={"us": ("=" * 131_072, '"' * 131_072)})
    create_labelled_product("Trousers for 5 €", confidence=0.1 + 0.2)


@pytest.mark.parametrize("format", ["jsonl", "csv"])
def test_importing_an_export_changes_nothing_here_and_gives_the_same_catalogue_elsewhere(
    tmp_path: Path, format: str
) -> None:
    fill_catalogue()
    before = read_catalogue()
    document = export(tmp_path / f"export.{format}", format=format)
    content = (tmp_path / f"export.{format}").read_bytes()
    again = Importer(tmp_path).run(content, name=f"again.{format}")
    assert document["products"] == len(before) == 16
    assert counts(again) == (0, 0, 16, 0)
    assert read_catalogue() == before
    for model in (ProductLabel, Product, Image):
        model.objects.all().delete()
    assert counts(Importer(tmp_path).run(content, name=f"again.{format}")) == (16, 0, 0, 0)
    assert read_catalogue() == before


def test_any_text_survives_being_defused() -> None:
    choice = random.Random(1)
    alphabet = "'=+-@\t\r\n\x00\uff1d\uff0b\uff0d\uff20 a\"1"
    texts = ["".join(choice.choices(alphabet, k=choice.randrange(6))) for _ in range(5_000)]
    assert [restore_cell(defuse_cell(text)) for text in texts] == texts
    assert not [cell for text in texts if (cell := defuse_cell(text)) and cell[0] in alphabet[1:13]]


def test_a_json_line_has_everything_of_a_product_and_its_label(tmp_path: Path) -> None:
    version = create_model_version()
    product = create_labelled_product("Jeans", confidence=0.75, model_version=version)
    export(tmp_path / "a.jsonl")
    (line,) = read_lines(tmp_path / "a.jsonl")
    assert line == {
        "id": product.pk,
        "title": "Jeans",
        "images": [product.product_images.get().image.url],
        "descriptions": [],
        "label": {
            "group": "Bottom part",
            "garment": "Trouser",
            "garment_unsure": False,
            "confidence": 0.75,
            "status": "labelled",
            "source": "machine",
            "reason": "",
            "evidence": "picture",
            "model_version": version.name,
            "labelled_at": None,
        },
    }


def test_products_that_nobody_looked_at_say_so(tmp_path: Path) -> None:
    create_product("Waiting", images=["a.png"])
    create_product("Bare")
    export(tmp_path / "a.jsonl")
    assert [line["label"]["status"] for line in read_lines(tmp_path / "a.jsonl")] == ["pending", "no_image"]
    assert {line["label"]["group"] for line in read_lines(tmp_path / "a.jsonl")} == {None}


def test_csv_has_a_row_for_each_country_and_label_columns_beside_the_six(tmp_path: Path) -> None:
    unsure = {"confidence": 0.5, "status": "needs_review", "reason": "unsure"}
    product = create_labelled_product("=cmd()", group="Bags", garment="Bag", **unsure)
    url = product.product_images.get().image.url
    for country in ("us", "de"):
        product.descriptions.create(country_code=country, original_text="-5%", translated_text=None)
    export(tmp_path / "a.csv", format="csv")
    content = (tmp_path / "a.csv").read_bytes()
    assert content.startswith(
        b"\xef\xbb\xbfid,title,image_urls,country_code,original_text,translated_text,label_group,"
    )
    label = {"label_group": "Bags", "label_garment": "Bag", "label_confidence": "0.5", "label_status": "needs_review"}
    label |= {"label_source": "machine", "label_reason": "unsure", "label_evidence": "picture"}
    label |= {"label_model_version": "", "label_labelled_at": ""}
    label |= {"refused": "", "label_garment_unsure": "False"}
    product_cells = {"id": str(product.pk), "title": "'=cmd()", "image_urls": url}
    assert list(csv.DictReader(io.StringIO(content.decode("utf-8-sig"), newline=""))) == [
        product_cells | {"country_code": country, "original_text": "'-5%", "translated_text": ""} | label
        for country in ("us", "de")
    ]


def test_images_that_no_csv_cell_holds_are_left_out_and_an_import_leaves_them(tmp_path: Path) -> None:
    create_product("Spaces", images=["a file.png", "https://shop.example/1", "b.png"])
    create_product("Neither address nor file", images=["S, M | L"])
    create_product("Many", images=[f"https://shop.example/{'x' * 2_000}/{number}" for number in range(70)])
    before = read_catalogue()
    document = export(tmp_path / "a.csv", format="csv")
    again = Importer(tmp_path).run((tmp_path / "a.csv").read_bytes(), name="again.csv")
    assert document["images_left_out"] == 2
    assert counts(again) == (0, 0, 3, 0)
    assert b",a file.png | https://shop.example/1 | b.png," in (tmp_path / "a.csv").read_bytes()
    assert read_catalogue() == before


def test_an_import_reads_past_labels_and_says_what_else_it_does_not_use(tmp_path: Path) -> None:
    importer = Importer(tmp_path)
    header = "label_group,id,title,image_urls,country_code,original_text,translated_text"
    assert counts(importer.run(f"{header}\nBags,1,T,,,,\n")) == (1, 0, 0, 0)
    assert counts(importer.run([{"id": 1, "title": "T", "label": {"group": "nonsense"}}])) == (0, 0, 1, 0)
    document = importer.run(f"{header},label_price\nBags,1,T,,,,,5\n")
    assert (*counts(document), document["notes"]) == (0, 0, 1, 0, ["Columns that are not used: label_price."])
    assert [product["title"] for product in read_catalogue()] == ["T"]
    assert list(ProductLabel.objects.values_list("status", "group")) == [("no_image", "")]


FILTERS_AND_TITLES: list[tuple[dict[str, Any], list[str]]] = [
    ({}, ["Red bag", "Blue bag", "Red boot", "Bare"]),
    ({"group": "Bags"}, ["Red bag", "Blue bag"]),
    ({"garment": "Ankle boot"}, ["Red boot"]),
    ({"status": "no_image"}, ["Bare"]),
    ({"min_confidence": "0.8"}, ["Red bag", "Red boot"]),
    ({"group": ["Bags", "Footwear"], "confidence_below": "0.9"}, ["Blue bag", "Red boot"]),
    ({"search": "réd"}, ["Red bag", "Red boot"]),
    ({"ordering": "-id", "group": "Bags"}, ["Blue bag", "Red bag"]),
    ({"ordering": "confidence"}, ["Blue bag", "Red boot", "Red bag"]),
]


@pytest.mark.parametrize("batch", [1, 2, 1_000])
def test_filters_and_order_are_those_of_the_api(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, batch: int) -> None:
    monkeypatch.setattr("catalog.interchange.exporting.BATCH_SIZE", batch)
    create_labelled_product("Red bag", group="Bags", garment="Bag", confidence=0.9)
    create_labelled_product("Blue bag", group="Bags", garment="Bag", confidence=0.5)
    create_labelled_product("Red boot", group="Footwear", garment="Ankle boot", confidence=0.8)
    create_product("Bare")
    for filters, titles in FILTERS_AND_TITLES:
        document = export(tmp_path / "a.jsonl", **filters)
        assert [line["title"] for line in read_lines(tmp_path / "a.jsonl")] == titles, filters
        assert document["products"] == len(titles)


def test_country_leaves_the_other_texts_out(tmp_path: Path) -> None:
    create_product("T", descriptions={"us": ("a", "b"), "de": ("c", None)})
    export(tmp_path / "a.jsonl", country="DE")
    (line,) = read_lines(tmp_path / "a.jsonl")
    assert line["descriptions"] == [{"country_code": "de", "original_text": "c", "translated_text": None}]


@pytest.mark.parametrize("products, batches", [(1, 1), (4, 3), (5, 3)])
def test_a_batch_costs_five_queries(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, products: int, batches: int
) -> None:
    monkeypatch.setattr("catalog.interchange.exporting.BATCH_SIZE", 2)
    for _ in range(products):
        create_labelled_product()
    with CaptureQueriesContext(connection) as captured:
        export(tmp_path / "a.jsonl", no_progress=True)
    # A last batch that is full is followed by a look for more.
    full_end = 1 if products % 2 == 0 else 0
    reads = [query for query in captured if query["sql"].startswith("SELECT")]
    assert len(reads) == 5 * (batches - full_end) + full_end


def test_pictures_lie_in_folders_of_their_groups_with_a_manifest(tmp_path: Path) -> None:
    version = create_model_version()
    bag, boot = create_painted_image("Bag"), create_stored_image(build_jpeg("Ankle boot"), url="odd name/boot.exe")
    first, second = create_product(images=[bag, boot]), create_product(images=[boot])
    again = create_product(images=[bag])
    missing = create_product(images=["https://shop.example/../../etc/passwd"])
    create_product("No picture")
    label_everything()
    document = export(tmp_path / "pictures", format="pictures")
    bag.refresh_from_db()
    boot.refresh_from_db()
    bag_path = f"bags/{bag.stored_picture.sha256}.png"
    boot_path = f"footwear/{boot.stored_picture.sha256}.jpg"
    assert (document["products"], document["files"], document["missing"]) == (4, 2, 1)
    assert list_files(tmp_path / "pictures") == [bag_path, boot_path, "manifest.jsonl"]
    lines = read_lines(tmp_path / "pictures" / "manifest.jsonl")
    assert [(line["product"], line["path"], line["missing"]) for line in lines] == [
        (first.pk, bag_path, False),
        (second.pk, boot_path, False),
        (again.pk, bag_path, False),
        (missing.pk, None, True),
    ]
    assert lines[0]["sha256"] == bag.stored_picture.sha256
    assert lines[0]["source_url"] == bag.url
    assert lines[0]["label"]["group"] == "Bags"
    assert lines[0]["label"]["model_version"] == version.name
    assert (lines[3]["sha256"], lines[3]["label"]["group"]) == (None, None)


def test_an_archive_holds_what_the_folder_holds(tmp_path: Path) -> None:
    create_model_version()
    for garment in ("Bag", "Sandal", "Coat"):
        create_product(images=[create_painted_image(garment)])
    label_everything()
    export(tmp_path / "pictures", format="pictures")
    document = export(tmp_path / "pictures.zip", format="pictures")
    with zipfile.ZipFile(tmp_path / "pictures.zip") as archive:
        assert archive.testzip() is None
        assert {entry.compress_type for entry in archive.infolist()} == {zipfile.ZIP_STORED}
        contents = {name: archive.read(name) for name in archive.namelist()}
    folder = tmp_path / "pictures"
    assert contents == {name: (folder / name).read_bytes() for name in list_files(folder)}
    assert (document["files"], len(contents)) == (3, 4)


def test_a_picture_that_changed_on_disk_counts_as_missing(tmp_path: Path, media_folder: Path) -> None:
    create_model_version()
    image = create_painted_image("Bag")
    create_product(images=[image])
    label_everything()
    image.refresh_from_db()
    (media_folder / image.stored_picture.storage_name).write_bytes(b"something else")
    document = export(tmp_path / "pictures", format="pictures")
    assert (document["files"], document["missing"]) == (0, 1)
    assert list_files(tmp_path / "pictures") == ["manifest.jsonl"]


@pytest.mark.parametrize(
    "options, message",
    [
        ({"group": "Hats"}, '--group: "Hats" is not a valid choice.'),
        ({"min_confidence": "2"}, "--min-confidence: Ensure this value is less than or equal to 1.0."),
        ({"country": "u s"}, "--country: "),
        ({"output": "-", "format": "pictures"}, "pictures need --output"),
        ({"output": "-", "json": True}, "--json needs --output"),
        ({"output": "nowhere/a.jsonl"}, "expected --output in a folder that is there"),
        ({"output": "full", "format": "pictures"}, "expected a new or empty folder"),
        ({"output": "full"}, "expected a file for --output"),
    ],
)
def test_bad_usage_ends_with_status_2_and_writes_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, options: dict[str, Any], message: str
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "file").touch()
    with pytest.raises(CommandError) as raised:
        call_command("export_catalog", **{"output": "a.jsonl", **options})
    assert raised.value.returncode == 2
    assert message in str(raised.value)
    assert list_files(tmp_path) == ["full/file"]


@pytest.mark.parametrize("format, output", [("jsonl", "a"), ("csv", "a"), ("pictures", "a"), ("pictures", "a.zip")])
@pytest.mark.parametrize("error", [OSError(28, "No space left on device"), KeyboardInterrupt()])
def test_a_failure_leaves_nothing_behind_and_what_was_there_as_it_was(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, format: str, output: str, error: BaseException
) -> None:
    create_product(images=["a.png"])
    old = output != "a" or format != "pictures"
    if old:
        (tmp_path / output).write_text("old")

    def fail(ids: Any) -> Any:
        raise error

    monkeypatch.setattr("catalog.interchange.exporting._find_labels", fail)
    with pytest.raises(CommandError) as raised:
        export(tmp_path / output, format=format)
    assert raised.value.returncode == 1
    assert list_files(tmp_path) == ([output] if old else [])
    assert not old or (tmp_path / output).read_text() == "old"


def test_standard_output_gets_the_file_and_standard_error_the_summary(capfdbinary: Any) -> None:
    create_product("Bare", id=7)
    call_command("export_catalog")
    captured = capfdbinary.readouterr()
    assert json.loads(captured.out)["id"] == 7
    assert captured.err.startswith(b"Export: 1 of 1 products")
    assert b"\n1 products exported in " in captured.err


def test_help_has_an_example_and_the_filters_of_the_api(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as raised:
        call_command("export_catalog", "--help")
    text = capsys.readouterr().out
    assert raised.value.code == 0
    assert "manage.py export_catalog --format csv --group Footwear" in text
    assert "--min-confidence" in text
    assert "--cursor" not in text

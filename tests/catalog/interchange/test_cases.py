"""Catalogue files on which other programs failed, from the folder that CASES_DIR names."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from catalog.models import Product
from tests.support.importing import Importer, counts, read_catalogue

pytestmark = [
    pytest.mark.django_db,
    pytest.mark.skipif("CASES_DIR" not in os.environ, reason="needs the folder of cases that CASES_DIR names"),
]
A1, A2 = "https://a.example/1.jpg", "https://a.example/2.jpg"


@pytest.fixture
def importer(tmp_path: Path) -> Importer:
    return Importer(tmp_path)


def read_case(name: str) -> bytes:
    return Path(os.environ["CASES_DIR"], "catalogue", name).read_bytes()


def list_images() -> list[list[str]]:
    return [[url for _, url in product["images"]] for product in read_catalogue()]


def test_a_row_in_a_long_cell_is_none(importer: Importer) -> None:
    script = Path(os.environ["CASES_DIR"], "catalogue", "02-long-cell.py")
    content = subprocess.run([sys.executable, script], capture_output=True, check=True).stdout
    document = importer.run(content, name="long.csv")
    assert (counts(document), Product.objects.count()) == ((0, 0, 0, 1), 0)


def test_several_addresses_in_a_cell_are_several_images(importer: Importer) -> None:
    assert counts(importer.run(read_case("03-images-by-comma-or-pipe.csv"), name="a.csv")) == (3, 0, 0, 0)
    assert list_images() == [[A1, A2]] * 3


def test_an_address_with_a_space_is_never_two(importer: Importer) -> None:
    document = importer.run(read_case("04-space-in-url.csv"), name="a.csv")
    assert counts(document) == (0, 0, 0, 1)
    assert "expected %20 for a space within an address" in document["errors"][0]["message"]


def test_empty_columns_at_the_end_are_read_past(importer: Importer) -> None:
    assert counts(importer.run(read_case("05-excel-empty-trailing-columns.csv"), name="a.csv")) == (1, 0, 0, 0)
    assert read_catalogue()[0]["descriptions"] == [("us", "x", None)]


def test_an_array_is_read(importer: Importer) -> None:
    document = importer.run(read_case("06-array.json"), name="array.json")
    assert (counts(document), document["read_as"]) == ((2, 0, 0, 0), "JSON array, UTF-8")
    assert [product["title"] for product in read_catalogue()] == ["A", "B"]


def test_placeholders_are_nothing(importer: Importer) -> None:
    assert counts(importer.run(read_case("12-placeholders.csv"), name="a.csv")) == (3, 0, 0, 0)
    assert list_images() == [[], [], []]
    assert [product["descriptions"] for product in read_catalogue()] == [
        [("us", None, None)], [("us", "x", None)], [("us", "x", None)]
    ]  # fmt: skip


def test_titles_that_nobody_sees_are_refused(importer: Importer) -> None:
    assert counts(importer.run(read_case("14-zero-width-titles.csv"), name="a.csv")) == (0, 0, 0, 2)

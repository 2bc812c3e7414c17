"""Products that a file names more than once, with and without ids: every import decides alike."""

import random

import pytest

from catalog.models import Product
from tests.support.factories import create_product
from tests.support.importing import Importer, counts, read_catalogue

pytestmark = [pytest.mark.django_db, pytest.mark.both_databases]


@pytest.fixture
def importer(tmp_path):
    return Importer(tmp_path)


def test_other_values_for_an_id_of_the_same_file_are_refused_again_and_again(importer):
    content = [
        {"id": 1, "title": "First"},
        {"id": 1, "title": "Second"},
        {"id": 1, "title": "First"},
        {"title": "X", "images": ["x.png"]},
        {"title": "X", "images": ["x.png"], "descriptions": [{"country_code": "us", "original_text": "other"}]},
    ]

    first, second = importer.run(content), importer.run(content)

    assert counts(first) == (2, 0, 1, 2)
    assert counts(second) == (0, 0, 3, 2)
    assert [error["line"] for error in second["errors"]] == [2, 5]
    assert [product["title"] for product in read_catalogue()] == ["First", "X"]


def test_mixed_file_with_and_without_ids_is_stable(importer):
    content = [
        {"title": "A", "images": ["a.png"]},
        {"id": 1, "title": "A", "images": ["a.png"]},
        {"id": 2, "title": "B", "images": ["b.png"]},
        {"title": "B", "images": ["b.png"]},
        {"title": "C"},
        {"id": 1, "title": "C"},
    ]

    first = importer.run(content)
    after_first = read_catalogue()
    second = importer.run(content)

    assert counts(first) == (3, 0, 1, 2)
    assert counts(second) == (0, 0, 4, 2)
    assert [error["line"] for error in second["errors"]] == [2, 6]
    assert read_catalogue() == after_first


def test_id_retitled_by_a_file_is_not_taken_for_the_old_product(importer):
    importer.run([{"id": 7, "title": "Old", "images": ["a.png"]}])
    content = [{"id": 7, "title": "New"}, {"title": "Old", "images": ["a.png"]}]

    first = importer.run(content)
    second = importer.run(content)

    assert counts(first) == (1, 1, 0, 0)
    assert counts(second) == (0, 0, 2, 0)
    assert [product["title"] for product in read_catalogue()] == ["New", "Old"]


@pytest.mark.parametrize("seed", range(6))
def test_random_file_twice_changes_nothing_across_batches(importer, monkeypatch, seed):
    monkeypatch.setattr("catalog.interchange.importing.BATCH_PRODUCTS", 3)
    stream = random.Random(seed)
    create_product("A", id=1, images=["a.png"])
    create_product("B", id=2)
    content = [
        {
            **stream.choice([{}, {}, {"id": stream.choice([1, 2, 3, 1_000])}]),
            "title": stream.choice("AB"),
            **stream.choice([{}, {"images": []}, {"images": ["a.png"]}, {"images": ["a.png", "b.png"]}]),
            **stream.choice([{}, {"descriptions": [{"country_code": "us", "original_text": stream.choice("xy")}]}]),
        }
        for _ in range(12)
    ]

    first = importer.run(content)
    after_first = read_catalogue()
    planned = importer.run(content, dry_run=True)
    second = importer.run(content)

    assert first["created"] + first["changed"] + first["unchanged"] + first["refused"] == 12
    assert (second["created"], second["changed"]) == (0, 0)
    assert counts(planned) == counts(second)
    assert second["refused"] == first["refused"]
    assert read_catalogue() == after_first


@pytest.mark.parametrize("seed", range(4))
def test_dry_run_counts_as_the_import_across_batches(importer, monkeypatch, seed):
    monkeypatch.setattr("catalog.interchange.importing.BATCH_PRODUCTS", 3)
    stream = random.Random(seed)
    create_product("A", id=1_000, images=["a.png"])
    content = [
        {
            **stream.choice([{}, {}, {"id": stream.choice([1_000, 2_000, 3_000])}]),
            "title": stream.choice("ABC"),
            **stream.choice([{}, {"images": ["a.png"]}, {"images": ["b.png"]}]),
            **stream.choice([{}, {"descriptions": [{"country_code": "us", "original_text": stream.choice("xy")}]}]),
        }
        for _ in range(12)
    ]

    planned = importer.run(content, dry_run=True)

    assert Product.objects.count() == 1
    assert counts(planned) == counts(importer.run(content))

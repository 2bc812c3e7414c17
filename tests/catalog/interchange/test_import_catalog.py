"""The import command: what a row creates, changes and leaves alone."""

import gc
import io
import json
import os
import sys

import pytest
from django.core.management import CommandError, call_command

from catalog.interchange import changes
from catalog.interchange.importing import KEPT_ERRORS
from catalog.management.commands import import_catalog
from catalog.models import Image, Product, ProductLabel
from tests.support.factories import create_description, create_product
from tests.support.importing import Importer, counts, is_empty, read_catalogue

pytestmark = [pytest.mark.django_db, pytest.mark.both_databases]

SHIRT = {
    "id": 17,
    "title": "Linen shirt",
    "images": ["https://shop.example/1.jpg", "demo/2.png"],
    "descriptions": [{"country_code": "us", "original_text": "Leinenhemd", "translated_text": "Linen shirt"}],
}
SHIRT_ROW = {
    "id": 17,
    "title": "Linen shirt",
    "images": [(0, "https://shop.example/1.jpg"), (1, "demo/2.png")],
    "descriptions": [("us", "Leinenhemd", "Linen shirt")],
}
HEADER = "id,title,image_urls,country_code,original_text,translated_text\n"


@pytest.fixture
def importer(tmp_path):
    return Importer(tmp_path)


def test_json_line_becomes_product_with_images_in_order_and_descriptions(importer):
    document = importer.run([SHIRT])

    assert counts(document) == (1, 0, 0, 0)
    assert document["exit"] == 0
    assert read_catalogue() == [SHIRT_ROW]


def test_csv_rows_of_one_product_become_what_the_json_line_gives(importer):
    document = importer.run(
        HEADER
        + "17,Linen shirt,https://shop.example/1.jpg demo/2.png,us,Leinenhemd,Linen shirt\n"
        + "17,Linen shirt,https://shop.example/1.jpg demo/2.png,DE,Leinenhemd,\n"
        + ",Bare,,,,\n"
    )

    assert counts(document) == (2, 0, 0, 0)
    shirt, bare = read_catalogue()
    assert shirt == {**SHIRT_ROW, "descriptions": [("de", "Leinenhemd", None), *SHIRT_ROW["descriptions"]]}
    assert (bare["title"], bare["images"], bare["descriptions"]) == ("Bare", [], [])


def test_later_csv_rows_of_a_product_may_leave_title_and_images_out(importer):
    importer.run(HEADER + "5,Hat,a.png,us,Hat,\n5,,,de,Hut,\n")

    assert read_catalogue() == [
        {"id": 5, "title": "Hat", "images": [(0, "a.png")], "descriptions": [("de", "Hut", None), ("us", "Hat", None)]}
    ]


def test_csv_columns_may_stand_in_any_order(importer):
    importer.run("title,id,country_code,translated_text,original_text,image_urls\nHat,5,us,Hat,Hut,a.png\n")

    assert read_catalogue() == [
        {"id": 5, "title": "Hat", "images": [(0, "a.png")], "descriptions": [("us", "Hut", "Hat")]}
    ]


@pytest.mark.parametrize("format", ["jsonl", "csv"])
def test_same_file_twice_changes_nothing(importer, format):
    content = {
        "jsonl": [SHIRT, {**SHIRT, "id": 18}, {"title": "No id", "images": ["a.png"]}, {"title": "Bare"}],
        "csv": HEADER + "17,Shirt,a.png b.png,us,x,y\n17,Shirt,a.png b.png,de,z,\n,No id,c.png,,,\n,Bare,,us,t,\n",
    }[format]
    first = importer.run(content)
    before = read_catalogue()

    second = importer.run(content)

    assert second["created"] == second["changed"] == second["refused"] == 0
    assert second["unchanged"] == first["created"] == len(before)
    assert read_catalogue() == before


def test_images_present_replace_the_list_and_absent_leave_it(importer):
    importer.run([SHIRT])

    replaced = importer.run([{**SHIRT, "images": ["demo/2.png", "new.png"]}])
    left = importer.run([{"id": 17, "title": "Linen shirt"}])

    assert counts(replaced) == (0, 1, 0, 0)
    assert counts(left) == (0, 0, 1, 0)
    assert read_catalogue()[0]["images"] == [(0, "demo/2.png"), (1, "new.png")]


def test_empty_list_of_images_removes_them_from_the_product_only(importer):
    importer.run([SHIRT])

    document = importer.run([{**SHIRT, "images": []}])

    assert counts(document) == (0, 1, 0, 0)
    assert read_catalogue() == [{**SHIRT_ROW, "images": []}]
    assert Image.objects.count() == 2


def test_blank_image_cell_leaves_the_images_of_a_product_with_an_id(importer):
    importer.run([SHIRT])

    document = importer.run(HEADER + "17,Linen shirt,,,,\n")

    assert counts(document) == (0, 0, 1, 0)
    assert read_catalogue() == [SHIRT_ROW]


def test_descriptions_are_updated_by_country_without_case_and_others_stay(importer):
    product = create_product("Hat", id=3, descriptions={"US": ("old", "old"), "fr": ("chapeau", None)})
    create_description(product, country_code="us", original_text="doubled", translated_text=None)

    document = importer.run(
        [
            {
                "id": 3,
                "title": "Hat",
                "descriptions": [
                    {"country_code": " Us ", "original_text": "new"},
                    {"country_code": "DE", "original_text": "Hut", "translated_text": "  "},
                ],
            }
        ]
    )

    assert counts(document) == (0, 1, 0, 0)
    assert read_catalogue()[0]["descriptions"] == [
        ("US", "new", None),
        ("de", "Hut", None),
        ("fr", "chapeau", None),
        ("us", "doubled", None),
    ]


def test_title_of_a_known_id_is_changed(importer):
    create_product("Old", id=3, images=["a.png"])

    document = importer.run([{"id": 3, "title": "New"}])

    assert counts(document) == (0, 1, 0, 0)
    assert read_catalogue() == [{"id": 3, "title": "New", "images": [(0, "a.png")], "descriptions": []}]


def test_texts_are_stripped_and_what_is_blank_is_none(importer):
    importer.run(
        [
            {
                "title": "\u2003 Hat\u00a0\n",
                "images": [" a.png "],
                "descriptions": [{"country_code": "us", "original_text": "\t text \x85", "translated_text": "\u2028"}],
            }
        ]
    )

    (product,) = read_catalogue()
    assert product["title"] == "Hat"
    assert product["images"] == [(0, "a.png")]
    assert product["descriptions"] == [("us", "text", None)]


def test_product_without_id_is_found_by_title_and_images(importer):
    create_product("Hat", images=["a.png", "b.png"])
    same = {
        "title": "Hat",
        "images": ["a.png", "b.png"],
        "descriptions": [{"country_code": "us", "original_text": "x"}],
    }

    document = importer.run([same, {"title": "Hat", "images": ["b.png", "a.png"]}, {"title": "Hat"}])

    assert counts(document) == (2, 1, 0, 0)
    found, other_order, without = read_catalogue()
    assert found["descriptions"] == [("us", "x", None)]
    assert other_order["images"] == [(0, "b.png"), (1, "a.png")]
    assert without["images"] == []


def test_first_of_several_equal_products_is_the_one_without_id(importer):
    first = create_product("Hat", images=["a.png"])
    second = create_product("Hat", images=["a.png"])

    importer.run(
        [{"title": "Hat", "images": ["a.png"], "descriptions": [{"country_code": "us", "original_text": "x"}]}]
    )

    assert first.descriptions.count() == 1
    assert second.descriptions.count() == 0


def test_image_row_is_shared_between_products(importer):
    existing = create_product(images=["shared.png"])

    importer.run(
        [{"id": 100, "title": "A", "images": ["shared.png", "own.png"]}, {"title": "B", "images": ["own.png"]}]
    )

    assert sorted(Image.objects.values_list("url", flat=True)) == ["own.png", "shared.png"]
    shared = existing.product_images.get().image
    assert shared.product_images.count() == 2


def test_one_image_may_stand_twice_in_a_product(importer):
    importer.run([{"id": 1, "title": "A", "images": ["a.png", "b.png", "a.png"]}])

    assert read_catalogue()[0]["images"] == [(0, "a.png"), (1, "b.png"), (2, "a.png")]


def test_explicit_ids_do_not_leave_the_sequence_behind(importer):
    importer.run([{"id": 5_000, "title": "Given"}, {"title": "Drawn"}])

    created_later = Product.objects.create(title="Later")

    ids = {product["title"]: product["id"] for product in read_catalogue()}
    assert ids["Given"] == 5_000
    assert ids["Drawn"] > 5_000
    assert created_later.pk > ids["Drawn"]


def test_small_explicit_id_does_not_turn_the_sequence_back(importer):
    largest = create_product(id=None).pk
    importer.run([{"id": largest + 10, "title": "High"}])
    importer.run([{"id": largest + 2, "title": "Low"}])

    assert Product.objects.create(title="Later").pk > largest + 10


def test_images_out_of_step_are_put_in_order(importer):
    product = create_product("Hat", id=4, images=["a.png", "b.png"])
    product.product_images.filter(image_index=1).update(image_index=5)

    document = importer.run([{"id": 4, "title": "Hat", "images": ["a.png", "b.png"]}])

    assert counts(document) == (0, 1, 0, 0)
    assert read_catalogue()[0]["images"] == [(0, "a.png"), (1, "b.png")]


def test_dry_run_gives_the_counts_and_writes_nothing(importer):
    products = [SHIRT, {"title": "No id", "images": ["a.png"]}, {"title": "No id", "images": ["a.png"]}, {"id": -1}]

    planned = importer.run(products, dry_run=True)

    assert is_empty()
    assert planned["dry_run"] is True
    done = importer.run(products)
    assert counts(planned) == counts(done) == (2, 0, 1, 1)


def test_dry_run_over_an_existing_catalogue_changes_nothing(importer):
    importer.run([SHIRT])

    planned = importer.run([{**SHIRT, "title": "Other", "images": [], "descriptions": []}], dry_run=True)

    assert counts(planned) == (0, 1, 0, 0)
    assert read_catalogue() == [SHIRT_ROW]


def test_refused_rows_are_reported_by_line_and_the_rest_is_imported(importer):
    document = importer.run('{"title": "A"}\n\nnonsense\n{"title": ""}\n{"title": "B"}\n', name="catalogue.jsonl")

    assert document["exit"] == 1
    assert counts(document) == (2, 0, 0, 2)
    assert [error["line"] for error in document["errors"]] == [3, 4]
    assert "expected a JSON object, received 'nonsense'" in document["errors"][0]["message"]
    assert document["errors"][1]["message"] == "expected a title, received none"
    assert [product["title"] for product in read_catalogue()] == ["A", "B"]


def test_messages_of_refused_rows_are_kept_up_to_a_limit(importer):
    document = importer.run("x\n" * (KEPT_ERRORS + 5), name="catalogue.jsonl")

    assert document["refused"] == KEPT_ERRORS + 5
    assert len(document["errors"]) == KEPT_ERRORS
    assert document["errors_left_out"] == 5


def test_report_for_people_goes_to_standard_output_and_errors_beside_it(tmp_path):
    path = tmp_path / "catalogue.jsonl"
    path.write_text('{"title": "A"}\n{"id": 1}\n')
    output, errors = io.StringIO(), io.StringIO()

    with pytest.raises(CommandError, match="1 rows were refused, the others imported"):
        call_command("import_catalog", str(path), stdout=output, stderr=errors)

    assert output.getvalue().startswith("1 created, 0 changed, 0 unchanged, 1 rows refused in ")
    assert errors.getvalue() == "read as JSON Lines, UTF-8\nline 2: expected a title, received none\n"


@pytest.mark.parametrize("options, content", [({}, b'{"title": "A"}\n'), ({"format": "csv"}, f"{HEADER},A,,,,\n")])
def test_standard_input_is_read_and_its_format_found(monkeypatch, options, content):
    stream = io.BufferedReader(io.BytesIO(content if isinstance(content, bytes) else content.encode()))
    monkeypatch.setattr(sys, "stdin", type("Input", (), {"buffer": stream}))
    output = io.StringIO()

    call_command("import_catalog", "-", json=True, stdout=output, **options)

    assert json.loads(output.getvalue())["created"] == 1
    assert [product["title"] for product in read_catalogue()] == ["A"]


def test_missing_file_fails_with_its_name(tmp_path):
    with pytest.raises(CommandError, match=r"expected a readable file .*gone\.jsonl': No such file"):
        call_command("import_catalog", str(tmp_path / "gone.jsonl"))


def test_a_pipe_is_no_file_and_is_not_waited_for(tmp_path):
    os.mkfifo(tmp_path / "pipe.csv")
    with pytest.raises(CommandError, match=r"pipe\.csv': expected a file, received a pipe"):
        call_command("import_catalog", str(tmp_path / "pipe.csv"))


def test_unknown_format_is_bad_usage(capsys):
    with pytest.raises(SystemExit) as raised:
        import_catalog.Command().run_from_argv(["manage.py", "import_catalog", "catalogue.xml", "--format=xml"])
    shown = capsys.readouterr()
    assert (raised.value.code, shown.out) == (2, "")
    assert "invalid choice: 'xml'" in shown.err


@pytest.mark.postgresql
def test_what_the_database_refuses_of_a_copy_is_said_in_words(importer, monkeypatch):
    monkeypatch.setattr(changes, "insert_missing_rows", lambda _model, *, field, values: dict.fromkeys(values, "none"))
    document = importer.run([SHIRT])
    assert (document["exit"], document["failure"][:29]) == (1, "the database refused a batch,")
    assert is_empty()


def test_label_of_a_picture_that_is_no_longer_first_goes(importer):
    product = create_product("Hat", id=3, images=["old.png"])
    image = product.product_images.get().image
    ProductLabel.objects.filter(product=product).update(status=ProductLabel.Status.FAILED)

    importer.run([{"id": 3, "title": "Hat", "images": ["new.png", "old.png"]}], dry_run=True)
    assert ProductLabel.objects.values_list("status", "image").get() == ("failed", image.pk)
    importer.run([{"id": 3, "title": "Hat", "images": ["new.png", "old.png"]}])

    assert ProductLabel.objects.values_list("status", "image__url").get() == ("pending", "new.png")


@pytest.mark.parametrize("is_site", [True, False])
def test_what_the_site_set_aside_from_the_collector_stays_so(importer, is_site):
    if is_site:
        gc.freeze()
    try:
        assert counts(importer.run([SHIRT], dry_run=True)) == (1, 0, 0, 0)
        assert (gc.get_freeze_count() > 0) is is_site
    finally:
        gc.unfreeze()

"""Text search: every word somewhere in title or descriptions; the word index of PostgreSQL and what keeps it."""

import itertools
import logging
import re
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from django.core.management import call_command
from django.db import connection, transaction
from django.test import Client
from django.test.utils import CaptureQueriesContext

from catalog.browse.filters import ProductCriteria
from catalog.browse.listing import find_product_page, list_labelled_products
from catalog.models import Product, ProductDescription, ProductLabel
from catalog.search import query as search
from catalog.search.index import adding_words, build_search_index, remove_unused_words
from catalog.search.query import TextSearch
from config.db.paging import KeysetOrdering, get_page
from tests.catalog.search.test_folding import TABLE
from tests.support.blocked import run_until_blocked
from tests.support.factories import create_description, create_product, create_products
from tests.support.importing import Importer, counts
from tests.support.labels import create_labelled_product

pytestmark = [pytest.mark.django_db, pytest.mark.both_databases]

BY_ID = KeysetOrdering("id", ("pk",))
postgresql = pytest.mark.postgresql


def find_ids(text: str) -> list[int]:
    """The ids of what a search finds: all of them at once, which must be the same as by pages."""
    found = list(TextSearch(text).find(Product.objects.all()).order_by("pk").values_list("pk", flat=True))
    paged, cursor = [], ""
    while cursor is not None:
        page = get_page(Product.objects.all(), ordering=BY_ID, page_size=2, cursor=cursor, search=TextSearch(text))
        paged += [product.pk for product in page.rows]
        cursor = page.next_cursor
    assert paged == found
    return found


def test_words_are_found_in_titles_and_in_every_text_of_every_country() -> None:
    titled = create_product("Linen shirt")
    original = create_product("Hemd", descriptions={"de": ("Aus Leinen", None)})
    translated = create_product("Chemise", descriptions={"fr": ("En lin", "Made of linen"), "us": (None, "Shirt")})
    create_product("Woollen coat")
    assert find_ids("LINEN") == [titled.pk, translated.pk]
    assert find_ids("leinen") == [original.pk]
    assert find_ids("made") == [translated.pk]


def test_every_word_must_be_there_wherever_it_stands() -> None:
    spread = create_product("Shirt", descriptions={"de": ("Leinen", "Linen"), "us": (None, "Cut wide")})
    create_product("Shirt", descriptions={"us": (None, "Linen")})
    assert find_ids("wide linen shirt") == [spread.pk]
    assert find_ids("linen wide coat") == []


def test_parts_of_words_are_found_however_short() -> None:
    product = create_product("Nightshirt, size M")
    create_product("Coat")
    for part in ("shirt", "ght", "sh", "g", ",", "night"):
        assert find_ids(part) == [product.pk], part


@pytest.mark.parametrize(
    "title",
    ["100%", "under_score", r"back\slash", "l'été", "''", '"quoted"', "a|b&!(c)", "<b>", "スニーカー", ":*", "🙂"],
)
def test_signs_are_found_as_they_are(title: str) -> None:
    product = create_product(f"Bag {title}")
    create_product("Bag other, 1000 x")
    assert find_ids(title) == [product.pk]
    assert find_ids(f"bag {title}") == [product.pk]


def test_descriptions_are_found_by_what_a_person_reads_of_their_html() -> None:
    markup = '<p class="lead">Red <b>caf&eacute;</b>&nbsp;smock<br>R&amp;B <!-- secret --></p>'
    product = create_product("Kitchen", descriptions={"us": (markup, None), "de": (None, "Rot<ul><li>blau</ul> a < b")})
    for text in ("red", "cafe smock", "r&b", "rot blau", "<"):
        assert find_ids(text) == [product.pk], text
    for text in ("p", "class", "eacute", "nbsp", "amp", "secret", "li", "rotblau"):
        assert find_ids(text) == [], text


def test_a_search_without_words_finds_everything() -> None:
    ids = [create_product().pk, create_product().pk]
    assert find_ids(" \t\n") == ids


def test_whatever_separates_words_separates_them_in_texts() -> None:
    product = create_product("One\ttwo\nthree", descriptions={"us": ("four\r\nfive\x0bsix", "seven\x0ceight")})
    assert find_ids("eight seven six five four three two one") == [product.pk]
    assert find_ids("one\xa0two") == [product.pk]


def test_changes_of_texts_are_found_at_once() -> None:
    product = create_product("Shirt")
    description = create_description(product, original_text="Leinen", translated_text=None)
    assert find_ids("leinen") == [product.pk]
    ProductDescription.objects.filter(pk=description.pk).update(original_text="Wolle")
    assert (find_ids("leinen"), find_ids("wolle")) == ([], [product.pk])
    other = create_product("Coat")
    ProductDescription.objects.filter(pk=description.pk).update(product=other)
    assert find_ids("wolle") == [other.pk]
    Product.objects.filter(pk=product.pk).update(title="Blouse")
    assert (find_ids("shirt"), find_ids("blouse")) == ([], [product.pk])
    description.delete()
    assert find_ids("wolle") == []
    Product.objects.all().delete()
    assert find_ids("coat") == []


def test_rows_written_by_others_are_found() -> None:
    with connection.cursor() as cursor:
        cursor.execute("INSERT INTO product (id, title) VALUES (7, 'Old boot'), (8, 'Old coat')")
        cursor.execute(
            "INSERT INTO productdescription (productid, countrycode, originaltext) VALUES (8, 'de', 'Alter Mantel')"
        )
    assert (find_ids("old"), find_ids("mantel")) == ([7, 8], [8])


def test_search_goes_together_with_filters_orders_and_cursors(client: Client) -> None:
    confidences = (0.5, 0.9, 0.7)
    ids = [create_labelled_product(f"Linen bag {c}", group="Bags", confidence=c).pk for c in confidences]
    create_labelled_product("Linen boot", group="Footwear", confidence=0.8)
    create_labelled_product("Leather bag", group="Bags", confidence=0.8)
    address = "/api/v1/products/?search=linen&group=Bags&ordering=-confidence&page_size=2"
    first = client.get(address).json()
    second = client.get(first["next"]).json()
    assert [row["id"] for row in first["results"]] == [ids[1], ids[2]]
    assert [row["id"] for row in second["results"]] == [ids[0]]
    assert client.get(second["previous"]).json() == first


def test_the_grid_finds_descriptions(client: Client) -> None:
    create_product("Hemd", descriptions={"de": ("Aus Leinen", None)})
    create_product("Mantel")
    page = client.get("/products/", {"search": "leinen"}).content.decode()
    assert ">Hemd<" in page
    assert ">Mantel<" not in page


@postgresql
def test_every_way_of_finding_finds_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    ids = [
        create_product(f"Shirt {number}", descriptions={"us": (f"it's shirts{number}", None)}).pk for number in "123"
    ]
    other = create_product("It's a coat").pk
    expected = {"it's hirt": ids, "it's": [*ids, other], "hirts2 shirt": [ids[1]], "coat shirt": []}
    for window, words, found in itertools.product([0, 1, 1_000], [0, 1, 1_000], [0, 1_000]):
        monkeypatch.setattr(search, "WINDOW", window)
        monkeypatch.setattr(search, "MAXIMUM_WORDS", words)
        monkeypatch.setattr(search, "MAXIMUM_FOUND", found)
        assert {text: find_ids(text) for text in expected} == expected, (window, words, found)


@postgresql
def test_more_words_than_one_condition_holds_are_all_looked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(search, "WINDOW", 0)
    ids = [product.pk for product in create_products(f"SKU-{number}" for number in range(60))]
    create_product("Another")
    assert find_ids("sku") == ids


@postgresql
def test_a_search_costs_a_bounded_number_of_queries(monkeypatch: pytest.MonkeyPatch, django_assert_num_queries) -> None:
    for number in range(5):
        create_product(f"Shirt {number}")
    products = list_labelled_products(ProductCriteria()).order_by("pk")
    with django_assert_num_queries(1):
        assert len(TextSearch("shirt").find_first(products, count=5)) == 5
    with django_assert_num_queries(2):  # the list ends in its window: there is nothing to ask the index for
        assert len(TextSearch("3").find_first(products, count=5)) == 1
    monkeypatch.setattr(search, "WINDOW", 4)
    with django_assert_num_queries(4):
        assert len(TextSearch("3").find_first(products, count=5)) == 1
    with django_assert_num_queries(2):
        assert TextSearch("quixotic").find_first(products, count=5) == []


@postgresql
@pytest.mark.parametrize("ordering", ["id", "-id"])
def test_what_stands_before_what_was_looked_at_is_not_looked_up(monkeypatch: pytest.MonkeyPatch, ordering: str) -> None:
    monkeypatch.setattr(search, "WINDOW", 1)
    products = [create_labelled_product(f"Linen {number}") for number in range(4)]
    # Linen coats wait, and are the last or the first of all products.
    waiting = [create_product(f"Linen coat {number}").pk for number in range(4)]
    if ordering == "-id":
        products, waiting = [Product.objects.get(pk=pk) for pk in waiting], [product.pk for product in products]
    status = ["labelled"] if ordering == "-id" else ["no_image"]
    criteria = ProductCriteria(search="linen", status=status, ordering=ordering)
    with CaptureQueriesContext(connection) as queries:
        page = find_product_page(criteria, page_size=10)
    assert [row.pk for row in page.rows] == sorted(waiting, reverse=ordering == "-id")
    (looked_up,) = [found for query in queries for found in re.findall(r"= ANY \('\{([\d,]*)\}", query["sql"])]
    assert {int(pk) for pk in looked_up.split(",")} == set(waiting)
    assert not set(waiting) & {product.pk for product in products}


@postgresql
def test_rows_that_leave_a_list_while_it_is_searched_hide_no_others(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(search, "WINDOW", 2)
    plain = [create_labelled_product(f"Wool {number}").pk for number in range(3)]
    linen = [create_labelled_product(f"Linen {number}").pk for number in range(2)]
    look_up_words = search._look_up_words

    def leave_first(*arguments: Any, **options: Any) -> Any:
        ProductLabel.objects.filter(product__in=plain[:2]).update(status="pending")
        return look_up_words(*arguments, **options)

    monkeypatch.setattr(search, "_look_up_words", leave_first)
    criteria = ProductCriteria(search="linen", status=["labelled"], ordering="id")
    assert [row.pk for row in find_product_page(criteria, page_size=10).rows] == linen


@postgresql
def test_words_of_any_length_are_found_whole_or_in_part() -> None:
    letters = "".join(chr(0x4E00 + number) for number in range(2_000))
    product = create_product("Long", descriptions={"cn": (letters, "short")})
    create_product("Other", descriptions={"cn": (letters[:100], None)})
    for start in range(0, 1_800, 150):
        part = letters[start : start + 200]
        assert find_ids(part) == [product.pk], start
    assert find_ids("long short") == [product.pk]


@postgresql
def test_a_product_with_more_text_than_a_document_holds_is_found_by_its_beginning() -> None:
    product = create_product("Endless", descriptions={"us": (" ".join(f"word{n}" for n in range(200_000)), None)})
    assert find_ids("endless word99") == [product.pk]


def read_index() -> tuple[dict[int, str], list[str]]:
    """The words of each product, and the words of all."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT product_id, words::text FROM catalog_searchdocument")
        documents = dict(cursor.fetchall())
        cursor.execute("SELECT word FROM catalog_searchword ORDER BY word")
        return documents, [word for (word,) in cursor.fetchall()]


@postgresql
def test_an_import_brings_the_words_that_the_triggers_find(tmp_path: Path) -> None:
    texts = [*TABLE, "O'Neill \\' \\\\ \tbag,\u00a0\u00ad", "x" * 3_000, "ab " * 40_000 + "end"]
    products = [
        {
            "id": number,
            "title": f"No {number}",
            "descriptions": [{"country_code": "us", "original_text": text, "translated_text": text}],
        }
        for number, text in enumerate(texts, start=1)
    ]
    imported = Importer(tmp_path).run(products)
    assert counts(imported) == (len(texts), 0, 0, 0), imported["errors"]
    brought = read_index()
    assert len(brought[0]) == len(texts)
    with connection.cursor() as cursor:
        cursor.execute("TRUNCATE catalog_searchdocument, catalog_searchword")
        cursor.execute("SELECT catalog_refresh_search(array_agg(id)) FROM product")
    assert brought == read_index()


@postgresql
def test_words_that_stand_there_already_are_read_from_the_tables() -> None:
    product = create_product("Linen shirt", descriptions={"us": ("of somebody else", None)})
    with adding_words({product.pk: "Linen skirt"}):
        Product.objects.filter(pk=product.pk).update(title="Linen skirt")
        other = create_product("Not brought")
    assert find_ids("skirt somebody") == [product.pk]
    assert find_ids("brought") == []
    other.descriptions.create(country_code="us", original_text="Written afterwards")
    assert find_ids("brought afterwards") == [other.pk]


@postgresql
def test_the_index_is_built_for_rows_that_were_written_past_the_triggers() -> None:
    product = create_product("Linen shirt")
    with connection.cursor() as cursor:
        cursor.execute("TRUNCATE catalog_searchdocument, catalog_searchword")
        cursor.execute("INSERT INTO catalog_searchdocument VALUES (%s, '''gone''')", [product.pk + 1])
    assert find_ids("linen") == []
    with connection.cursor() as cursor:
        cursor.execute("SELECT catalog_refresh_search(array_agg(id)) FROM product")
    assert find_ids("linen") == [product.pk]


@postgresql
@pytest.mark.django_db(transaction=True)
def test_the_command_rebuilds_the_index_and_forgets_words(capsys: pytest.CaptureFixture[str]) -> None:
    product = create_product("Linen shirt")
    create_product("Quixotic").delete()
    with connection.cursor() as cursor:
        cursor.execute("DELETE FROM catalog_searchdocument")
        cursor.execute("INSERT INTO catalog_searchdocument VALUES (%s, '''gone''')", [product.pk + 100])
        cursor.execute("INSERT INTO catalog_searchword VALUES ('linen')")
    call_command("rebuild_search", "--json")
    assert capsys.readouterr().out == '{"products": 1, "words_removed": 2}\n'
    assert find_ids("linen") == [product.pk]
    with connection.cursor() as cursor:
        cursor.execute("SELECT word FROM catalog_searchword ORDER BY word")
        assert cursor.fetchall() == [("linen",), ("shirt",)]
        cursor.execute("SELECT count(*) FROM catalog_searchdocument")
        assert cursor.fetchone() == (1,)


@postgresql
@pytest.mark.django_db(transaction=True)
def test_a_word_that_a_product_gets_meanwhile_is_not_forgotten() -> None:
    create_product("Quixotic").delete()
    create_product("Linen")
    with transaction.atomic():
        product = create_product("Quixotic")
        end = run_until_blocked(lambda: remove_unused_words(connection))
    assert end() == []
    assert find_ids("uixoti") == [product.pk]


@postgresql
@pytest.mark.django_db(transaction=True)
def test_a_word_that_is_being_removed_is_written_again(monkeypatch: pytest.MonkeyPatch) -> None:
    create_product("Quixotic").delete()
    with transaction.atomic():
        assert remove_unused_words(connection) == 1
        end = run_until_blocked(lambda: create_product("Quixotic"))
    assert end() == []
    assert len(find_ids("uixoti")) == 1


@postgresql
@pytest.mark.django_db(transaction=True)
def test_whoever_writes_for_long_keeps_nobody_but_the_removal_waiting() -> None:
    create_product("Quixotic").delete()
    create_product("Linen")
    removing = ThreadPoolExecutor(1)
    with transaction.atomic():
        create_product("Linen shirt")

        def remove() -> int:
            try:
                return remove_unused_words(connection)
            finally:
                connection.close()

        removed = removing.submit(remove)
        with pytest.raises(TimeoutError):
            removed.result(timeout=1.5)
    assert removed.result(timeout=20) == 1
    removing.shutdown()


@postgresql
@pytest.mark.django_db(transaction=True)
def test_words_with_any_signs_are_removed_and_kept() -> None:
    kept, gone = "it's \\ 'a' & | ! :*", "o'clock \\\\ b' <-> (x)"
    create_product(gone).delete()
    product = create_product(kept)
    assert remove_unused_words(connection) == len(gone.split())
    assert read_index()[1] == sorted(kept.split())
    assert find_ids("it's") == [product.pk]


@postgresql
@pytest.mark.django_db(transaction=True)
def test_without_the_right_to_create_extensions_search_works_and_says_what_is_missing(
    caplog: pytest.LogCaptureFixture, capsys: pytest.CaptureFixture[str]
) -> None:
    product = create_product("Linen shirt")
    with connection.cursor() as cursor:
        cursor.execute("DROP EXTENSION pg_trgm CASCADE")
        cursor.execute("CREATE ROLE plain")
        cursor.execute("GRANT CREATE ON SCHEMA public TO plain")
        cursor.execute("GRANT ALL ON ALL TABLES IN SCHEMA public TO plain")
        cursor.execute("ALTER TABLE catalog_searchdocument OWNER TO plain")
        cursor.execute("ALTER TABLE catalog_searchword OWNER TO plain")
        cursor.execute("SET ROLE plain")
    try:
        with caplog.at_level(logging.WARNING):
            assert build_search_index(connection) == 1
        assert "CREATE EXTENSION pg_trgm as a superuser" in caplog.text
        assert find_ids("inen") == [product.pk]
        # A superuser does, and the command finds the extension there.
        for statement in ("RESET ROLE", "CREATE EXTENSION pg_trgm", "SET ROLE plain"):
            with connection.cursor() as cursor:
                cursor.execute(statement)
        call_command("rebuild_search", "--json")
        assert capsys.readouterr().out == '{"products": 1, "words_removed": 0}\n'
        assert find_ids("inen") == [product.pk]
    finally:
        with connection.cursor() as cursor:
            cursor.execute("RESET ROLE")
            cursor.execute("REASSIGN OWNED BY plain TO CURRENT_USER")
            cursor.execute("DROP OWNED BY plain")
            cursor.execute("DROP ROLE plain")
            cursor.execute(
                "SELECT indisvalid FROM pg_index WHERE indexrelid = to_regclass('catalog_searchword_trigrams')"
            )
            index = cursor.fetchone()
        build_search_index(connection)  # for the tests that follow, if it is not there
    assert index == (True,)


def test_elsewhere_there_is_nothing_to_rebuild(capsys: pytest.CaptureFixture[str]) -> None:
    if connection.vendor == "postgresql":
        pytest.skip("about other databases")
    call_command("rebuild_search", "--json")
    assert capsys.readouterr().out == '{"products": 0, "words_removed": 0}\n'

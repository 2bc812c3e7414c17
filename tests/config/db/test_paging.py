"""Keyset pages: every row once, whatever happens between two requests; cursors that nobody else can make."""

from typing import Any

import pytest
from django.core import signing

from catalog.browse.filters import PRODUCT_ORDERINGS, ProductCriteria
from catalog.browse.listing import find_product_page, list_labelled_products
from catalog.models import Product
from config.db.paging import CURSOR_SALT, CappedPaginator, InvalidCursorError, KeysetOrdering, find_first_rows, get_page
from tests.support.factories import create_product
from tests.support.labels import create_labelled_product

pytestmark = [pytest.mark.django_db, pytest.mark.both_databases]

BY_ID = KeysetOrdering("id", ("pk",))


def walk(queryset, *, ordering: KeysetOrdering, page_size: int) -> list[list[int]]:
    """Follow the next cursors from the first page; the ids of each page."""
    pages, cursor = [], ""
    while cursor is not None:
        page = get_page(queryset, ordering=ordering, page_size=page_size, cursor=cursor)
        pages.append([row.pk for row in page.rows])
        cursor = page.next_cursor
    return pages


def test_pages_hold_every_row_once_in_order() -> None:
    ids = [create_product().pk for _ in range(5)]
    assert walk(Product.objects.all(), ordering=BY_ID, page_size=2) == [ids[:2], ids[2:4], ids[4:]]


def test_the_last_full_page_has_no_next_one() -> None:
    ids = [create_product().pk for _ in range(4)]
    assert walk(Product.objects.all(), ordering=BY_ID, page_size=2) == [ids[:2], ids[2:]]


def test_previous_leads_back_to_the_same_rows() -> None:
    ids = [create_product().pk for _ in range(5)]
    first = get_page(Product.objects.all(), ordering=BY_ID, page_size=2)
    second = get_page(Product.objects.all(), ordering=BY_ID, page_size=2, cursor=first.next_cursor)
    back = get_page(Product.objects.all(), ordering=BY_ID, page_size=2, cursor=second.previous_cursor)
    assert [row.pk for row in back.rows] == ids[:2]
    assert back.previous_cursor is None
    assert back.next_cursor == first.next_cursor


def test_a_row_that_disappears_meanwhile_hides_no_other() -> None:
    ids = [create_product().pk for _ in range(4)]
    first = get_page(Product.objects.all(), ordering=BY_ID, page_size=2)
    Product.objects.filter(pk=ids[0]).delete()
    second = get_page(Product.objects.all(), ordering=BY_ID, page_size=2, cursor=first.next_cursor)
    assert [row.pk for row in second.rows] == ids[2:]


@pytest.mark.parametrize("name", ["confidence", "-confidence"])
def test_equal_confidences_are_told_apart_by_the_id(name: str) -> None:
    confidences = [0.5, 0.9, 0.5, 0.5, 0.1, 0.9]
    ids = [create_labelled_product(confidence=confidence).pk for confidence in confidences]
    create_product()
    products = list_labelled_products(ProductCriteria(ordering=name))
    expected = [pk for _, pk in sorted(zip(confidences, ids, strict=True), reverse=name.startswith("-"))]
    pages = walk(products, ordering=PRODUCT_ORDERINGS[name], page_size=2)
    assert [pk for page in pages for pk in page] == expected


def test_a_page_costs_one_query(django_assert_num_queries) -> None:
    for _ in range(3):
        create_product()
    with django_assert_num_queries(1) as captured:
        get_page(Product.objects.all(), ordering=BY_ID, page_size=2)
    assert "COUNT" not in captured[0]["sql"]


@pytest.mark.parametrize(
    "cursor",
    [
        "garbage",
        "WyJpZCIsZmFsc2UsWzFdXQ",
        signing.Signer(salt="another").sign_object(["id", False, [1]]),
        signing.Signer(salt=CURSOR_SALT).sign_object(["-id", False, [1]]),
    ],
    ids=["garbage", "unsigned", "another salt", "another ordering"],
)
def test_a_foreign_cursor_is_refused(cursor: str) -> None:
    create_product()
    with pytest.raises(InvalidCursorError):
        get_page(Product.objects.all(), ordering=BY_ID, page_size=2, cursor=cursor)


def test_the_capped_paginator_never_looks_beyond_its_maximum(django_assert_num_queries) -> None:
    for _ in range(5):
        create_product()
    paginator = CappedPaginator(Product.objects.order_by("pk"), 2)
    assert paginator.count == 5
    paginator = CappedPaginator(Product.objects.order_by("pk"), 2)
    paginator.maximum = 3
    with django_assert_num_queries(1) as captured:
        assert (paginator.count, paginator.num_pages) == (3, 2)
    assert "LIMIT 3" in captured[0]["sql"]


def test_the_first_rows_are_chosen_before_anything_is_joined() -> None:
    products = [create_product(f"Shirt {number}") for number in range(5)]
    queryset = Product.objects.with_listing_fields("us").select_related("label").filter(pk__gt=products[0].pk)
    rows = find_first_rows(queryset.order_by("-pk"), count=3)
    assert [row.pk for row in rows] == [products[4].pk, products[3].pk, products[2].pk]
    assert rows[0].image_url is None


@pytest.mark.parametrize("criteria", [{"group": ["Bags"]}, {"status": ["labelled"], "ordering": "-id"}])
def test_pages_of_products_chosen_by_their_label_hold_each_once(criteria: dict[str, Any]) -> None:
    ids = [create_labelled_product(group="Bags", garment="Bag").pk for _ in range(5)]
    create_product()
    pages, cursor = [], ""
    while cursor is not None:
        page = find_product_page(ProductCriteria(**criteria), page_size=2, cursor=cursor)
        pages.append([row.pk for row in page.rows])
        cursor = page.next_cursor
    wanted = sorted(ids, reverse="ordering" in criteria)
    assert pages == [wanted[:2], wanted[2:4], wanted[4:]]

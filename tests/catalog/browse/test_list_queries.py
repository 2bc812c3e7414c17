"""Every list of products, however it is filtered, searched and ordered, is what reading every product would find."""

import itertools
import random
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pytest
from django.db import transaction

from catalog.browse.filters import ProductCriteria
from catalog.browse.listing import find_adjacent_products, find_product_page, get_place, get_product_ordering
from catalog.labels import refresh_labels
from catalog.models import Image, Product, ProductDescription, ProductImages, ProductLabel
from catalog.search import query as search
from catalog.search.index import PART_BITS
from tests.support.factories import create_product

pytestmark = [pytest.mark.django_db, pytest.mark.both_databases]

PART = 1 << PART_BITS
#: The beginnings and the ends of three parts of the word index, and one part far behind an empty one.
IDS = [*range(1, 13), *range(PART - 4, PART + 12), *range(2 * PART - 5, 2 * PART + 3), *range(4 * PART, 4 * PART + 12)]
WORDS = ("linen", "wool", "boot")
FILTERS: list[tuple[str, Any]] = [
    ("group", ("Footwear",)),
    ("group", ("Bags", "Footwear")),
    ("garment", ("Sneaker",)),
    ("garment_unsure", True),
    ("garment_unsure", False),
    ("status", ("labelled",)),
    ("status", ("failed", "needs_review")),
    ("status", ("pending",)),
    ("status", ("no_image",)),
    ("reason", ("unsure", "disagreement")),
    ("evidence", ("picture",)),
    ("evidence", ("text", "both")),
    ("source", "person"),
    ("min_confidence", 0.7),
    ("confidence_below", 0.7),
]
ORDERINGS = ("id", "-id", "confidence", "-confidence")


@dataclass(frozen=True)
class Row:
    """A product as the test wrote it."""

    id: int
    title: str
    has_image: bool
    label: dict[str, Any] | None

    @property
    def status(self) -> str:
        """The status that the contract gives it."""
        if self.label is not None:
            return str(self.label["status"])
        return "pending" if self.has_image else "no_image"


def create_rows() -> list[Row]:
    """Write products of every kind all over the ids; a brand that neighbours have, and none before them."""
    dice = random.Random(5)
    rows = []
    for id in IDS:
        words = [word for word in WORDS if dice.random() < 0.5]
        title = " ".join(["Thing", *words, *(["Northwind"] if PART < id < 2 * PART else [])])
        has_image = dice.random() < 0.8
        label = None
        if has_image and dice.random() < 0.7:
            failed = dice.random() < 0.2
            label = {
                "group": "" if failed else dice.choice(["Footwear", "Bags", "Upper part"]),
                "garment": "" if failed else dice.choice(["Sneaker", "Bag"]),
                "confidence": None if failed else dice.choice([0.5, 0.7, 0.9]),
                "status": "failed" if failed else dice.choice(["labelled", "needs_review"]),
                "source": "" if failed else dice.choice(["machine", "person"]),
                "reason": "not_image" if failed else dice.choice(["", "unsure", "disagreement"]),
                "evidence": "" if failed else dice.choice(["", "", "text", "both"]),
                "garment_unsure": not failed and dice.random() < 0.3,
            }
        rows.append(Row(id=id, title=title, has_image=has_image, label=label))
    write_rows(rows)
    return rows


def write_rows(rows: list[Row]) -> None:
    """Write the products and their labels, at a few statements for all of them."""
    Product.objects.bulk_create(Product(id=row.id, title=row.title) for row in rows)
    texts = {"country_code": "de", "original_text": "x", "translated_text": ""}
    ProductDescription.objects.bulk_create(ProductDescription(product_id=row.id, **texts) for row in rows)
    images = {row.id: Image(url=f"https://shop.example/{row.id}.jpg") for row in rows if row.has_image}
    Image.objects.bulk_create(images.values())
    ProductImages.objects.bulk_create(
        ProductImages(product_id=id, image=image, image_index=0) for id, image in images.items()
    )
    with transaction.atomic():
        refresh_labels([row.id for row in rows])
    for row in rows:
        if row.label is not None:
            ProductLabel.objects.filter(product=row.id).update(**row.label)


def find_plainly(rows: list[Row], criteria: ProductCriteria) -> list[int]:
    """The ids that the criteria ask for, in their order, from what was written."""

    def is_wanted(row: Row) -> bool:
        label = row.label or {}
        confidence = label.get("confidence")
        return (
            all(word in row.title.lower() or word == str(row.id) for word in criteria.search.split())
            and (not criteria.group or label.get("group") in criteria.group)
            and (not criteria.garment or label.get("garment") in criteria.garment)
            and (criteria.garment_unsure is None or label.get("garment_unsure", False) is criteria.garment_unsure)
            and (not criteria.status or row.status in criteria.status)
            and criteria.source in ("", label.get("source"))
            and (not criteria.reason or label.get("reason") in criteria.reason)
            and (
                not criteria.evidence
                or (label.get("source") == "machine" and (label["evidence"] or "picture") in criteria.evidence)
            )
            and (criteria.min_confidence is None or (confidence is not None and confidence >= criteria.min_confidence))
            and (criteria.confidence_below is None or (confidence or 1.0) < criteria.confidence_below)
            and ("confidence" not in criteria.ordering or confidence is not None)
        )

    def get_place(row: Row) -> tuple[float, int]:
        return (row.label["confidence"] if row.label and "confidence" in criteria.ordering else 0.0, row.id)

    wanted = sorted(filter(is_wanted, rows), key=get_place, reverse=criteria.ordering.startswith("-"))
    return [row.id for row in wanted]


def walk_pages(criteria: ProductCriteria, *, page_size: int) -> list[int]:
    """The ids of all pages one after the other; the way back must meet the same pages."""
    pages, cursor = [], ""
    while True:
        page = find_product_page(criteria, page_size=page_size, cursor=cursor)
        pages.append([product.pk for product in page.rows])
        if page.next_cursor is None:
            break
        cursor = page.next_cursor
    for ids in reversed(pages[:-1]):
        assert page.previous_cursor is not None
        page = find_product_page(criteria, page_size=page_size, cursor=page.previous_cursor)
        assert [product.pk for product in page.rows] == ids
    assert page.previous_cursor is None
    return [id for ids in pages for id in ids]


def walk_beside(criteria: ProductCriteria, *, first: int) -> list[int]:
    """The ids from one product to the next, each by its place; before each must be the one that led to it."""
    ids: list[int] = []
    ordering = get_product_ordering(criteria)
    product: Product | None = Product.objects.select_related("label").get(pk=first)
    while product is not None:
        before, behind = find_adjacent_products(criteria, product.pk, place=get_place(ordering, product))
        assert [before.pk if before else None] == (ids[-1:] or [None])
        ids.append(product.pk)
        product = behind
    return ids


@pytest.mark.parametrize("ordering", ORDERINGS)
@pytest.mark.parametrize("chosen", [{}, {"status": ("labelled",)}, {"search": "ine woo"}, {"group": ("Bags",)}])
def test_the_products_beside_one_are_those_of_its_list(ordering: str, chosen: dict[str, Any]) -> None:
    criteria = ProductCriteria(ordering=ordering, **chosen)
    expected = find_plainly(create_rows(), criteria)
    assert len(expected) > 3
    assert walk_beside(criteria, first=expected[0]) == expected


def list_criteria(searches: tuple[str, ...], *, with_pairs: bool) -> Iterator[ProductCriteria]:
    """Each search in every order, each filter in every order, and each two filters; searches and orders take turns."""
    for text, ordering in itertools.product(searches, ORDERINGS):
        yield ProductCriteria(search=text, ordering=ordering)
    turns = itertools.cycle(searches)
    for (name, value), ordering in itertools.product(FILTERS, ORDERINGS):
        yield ProductCriteria(search=next(turns), ordering=ordering, **{name: value})
        if ordering == ORDERINGS[-1]:
            next(turns)  # the same search would meet the same order
    if not with_pairs:
        return
    pairs = [dict(pair) for pair in itertools.combinations(FILTERS, 2) if pair[0][0] != pair[1][0]]
    both = itertools.cycle(itertools.product(searches, ORDERINGS))
    for chosen, (text, ordering) in zip(pairs, both, strict=False):
        yield ProductCriteria(search=text, ordering=ordering, **chosen)


def compare_lists(searches: tuple[str, ...], *, with_pairs: bool = True) -> int:
    """Compare the pages of all these lists; return how many products they had."""
    rows = create_rows()
    found = 0
    for criteria in list_criteria(searches, with_pairs=with_pairs):
        expected = find_plainly(rows, criteria)
        assert walk_pages(criteria, page_size=11) == expected, criteria
        found += len(expected)
    return found


def test_every_list_with_up_to_two_filters_is_what_reading_every_product_would_find() -> None:
    assert compare_lists(("", "ine woo", f"{PART + 3}")) > 500


def find_too_many(monkeypatch: pytest.MonkeyPatch, *, window: int) -> None:
    """Have every product that the index finds behind the window be one too many to be listed by its id."""
    monkeypatch.setattr(search, "WINDOW", window)
    monkeypatch.setattr(search, "MAXIMUM_FOUND", 0)
    monkeypatch.setattr(search, "MAXIMUM_FOUND_BEFORE_PARTS", 0)


@pytest.mark.postgresql
@pytest.mark.parametrize("maximum_parts", [0, 512])
def test_lists_of_words_that_very_many_have_are_the_same_by_parts_and_by_hash(
    monkeypatch: pytest.MonkeyPatch, maximum_parts: int
) -> None:
    find_too_many(monkeypatch, window=2)
    monkeypatch.setattr(search, "MAXIMUM_PARTS", maximum_parts)
    assert compare_lists(("linen", "north", "ine woo", f"{PART + 3}"), with_pairs=False) > 150


@pytest.mark.postgresql
@pytest.mark.parametrize("maximum_words", [0, 1])
def test_a_search_that_too_many_words_meet_does_not_go_by_parts(
    monkeypatch: pytest.MonkeyPatch, maximum_words: int
) -> None:
    find_too_many(monkeypatch, window=0)
    monkeypatch.setattr(search, "MAXIMUM_WORDS_BY_PARTS", maximum_words)
    calls = []
    monkeypatch.setattr(search, "_keep_by_parts", lambda products, **_: calls.append(1) or products.none())
    create_product("Northwind boot")
    page = find_product_page(ProductCriteria(search="north"), page_size=5)
    assert (len(page.rows), len(calls)) == ((1, 0) if maximum_words == 0 else (0, 1))
    assert Product.objects.count() == 1

"""How many products the list of products says it has, of all and of each chip."""

import pytest
from django.core.cache import cache
from django.db import OperationalError
from django.test import Client

from catalog.browse.counts import ListCounts, count_list
from catalog.browse.filters import ProductCriteria
from tests.support.labels import create_labelled_product

pytestmark = [pytest.mark.django_db, pytest.mark.both_databases]


@pytest.fixture(autouse=True)
def create_products() -> None:
    cache.clear()
    create_labelled_product("Red bag", group="Bags", garment="Bag")
    create_labelled_product("Red boot", group="Footwear", garment="Ankle boot")
    create_labelled_product("Blue boot", group="Footwear", garment="Ankle boot", status="needs_review")
    create_labelled_product("Red hat", group="", garment="", confidence=None, status="failed", source="")


def count(**criteria: object) -> tuple[int | None, dict[str, int], dict[str, int]]:
    """The total, and what of statuses and groups is more than nothing."""
    found = count_list(ProductCriteria(**criteria))  # type: ignore[arg-type]
    assert found.statuses is not None
    assert found.groups is not None
    statuses, groups = ({name: n for name, n in of.items() if n and name} for of in (found.statuses, found.groups))
    return found.total, statuses, groups


def test_a_chip_counts_what_the_list_has_with_it_and_the_other_choices() -> None:
    everything = {"labelled": 2, "needs_review": 1, "failed": 1}
    assert count() == (4, everything, {"Bags": 1, "Footwear": 2})
    assert count(group=("Footwear",)) == (2, {"labelled": 1, "needs_review": 1}, {"Bags": 1, "Footwear": 2})
    assert count(status=("labelled",)) == (2, everything, {"Bags": 1, "Footwear": 1})


def test_other_filters_and_an_order_that_leaves_out_some_are_counted() -> None:
    assert count(search="red") == (3, {"labelled": 2, "failed": 1}, {"Bags": 1, "Footwear": 1})
    assert count(search="red", group=("Bags",)) == (1, {"labelled": 1}, {"Bags": 1, "Footwear": 1})
    assert count(ordering="confidence") == (3, {"labelled": 2, "needs_review": 1}, {"Bags": 1, "Footwear": 2})


def test_what_was_counted_a_moment_ago_costs_no_query(django_assert_max_num_queries) -> None:
    for most in (3, 0):
        with django_assert_max_num_queries(most):
            count_list(ProductCriteria(garment=("Bag",)))
            count_list(ProductCriteria(garment=("Bag",), group=("Bags",), ordering="-id"))


def test_a_long_list_is_counted_up_to_a_limit() -> None:
    assert count_list(ProductCriteria(search="red"), limit=2) == ListCounts(at_least=2)
    assert count_list(ProductCriteria(search="red"), limit=3).total == 3


@pytest.mark.parametrize("place", ["list_labelled_products", "ProductLabel.objects.filter"])
def test_a_count_that_takes_too_long_leaves_the_page_without_one(monkeypatch: pytest.MonkeyPatch, place: str) -> None:
    class TooLongError(Exception):
        pgcode = "57014"

    def fail(*_arguments: object, **_options: object) -> None:
        raise OperationalError from TooLongError()

    monkeypatch.setattr(f"catalog.browse.counts.{place}", fail)
    assert count_list(ProductCriteria(search="red")) == ListCounts()


@pytest.mark.parametrize(
    "found, words",
    [
        (ListCounts(total=1), "1 product"),
        (ListCounts(total=1234), "1,234 products"),
        (ListCounts(at_least=10_000), "At least 10,000 products"),
        (ListCounts(), ""),
    ],
)
def test_the_number_is_said_in_words(found: ListCounts, words: str) -> None:
    assert found.words == words


def test_the_page_has_a_number_at_each_chip(client: Client) -> None:
    chips = client.get("/products/", {"group": "Footwear"}).context["chips"]
    found = {chip.value: (chip.number, chip.is_chosen) for _, of in chips for chip in of if chip.number}
    assert found == {"Bags": (1, False), "Footwear": (2, True), "labelled": (1, False), "needs_review": (1, False)}

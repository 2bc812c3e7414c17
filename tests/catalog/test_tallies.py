"""Tallies of labels: always what a count of all labels says, whoever writes them."""

import random
from collections import Counter
from datetime import UTC, date, datetime, timedelta
from threading import Thread
from typing import Any

import pytest
from django.db import connection, transaction
from django.db.models import Count

from catalog.browse.summary import count_by_status_and_group, count_catalogue
from catalog.labels import Day, count_labels, fold_tallies, recount_tallies
from catalog.models import LabelTally, Product, ProductLabel
from config.db.bulk import insert_or_update_rows
from tests.support.factories import create_product, create_products

FIRST = datetime(2026, 11, 1, 23, 30, tzinfo=UTC)
FIELDS = ("product", "image", "status", "group", "garment", "source", "reason", "labelled_at")


def count_slowly() -> Counter[tuple[str, str, date | None]]:
    rows = ProductLabel.objects.order_by().values_list("status", "group", Day("labelled_at", tzinfo=UTC))
    return Counter({tuple(kind): number for *kind, number in rows.annotate(number=Count("pk"))})


def count_quickly() -> Counter[tuple[str, str, date | None]]:
    counted = {(status, group, day): number for status, group, day, number in count_labels() if number}
    assert min(counted.values(), default=1) > 0
    return Counter(counted)


def build_row(product_id: int, chance: random.Random) -> tuple[Any, ...]:
    """Return a row of a label of any kind, in the order of FIELDS."""
    kind = chance.choice([("pending", "", ""), ("labelled", "Bags", "Bag"), ("labelled", "Footwear", "Sandal")])
    day = FIRST + timedelta(hours=chance.randrange(100)) if kind[1] else None
    return (product_id, None, *kind, "machine" if kind[1] else "", "", day)


@pytest.mark.django_db
@pytest.mark.both_databases
@pytest.mark.parametrize("seed", range(3))
def test_whatever_is_written_the_tallies_are_what_a_count_says(seed: int) -> None:
    chance = random.Random(seed)
    ids = [product.pk for product in create_products(f"Product {number}" for number in range(40))]
    for _ in range(30):
        some = sorted(chance.sample(ids, 10))
        what = chance.randrange(5)
        if what == 0:
            ProductLabel.objects.filter(product__in=some).update(status="reviewed", labelled_at=FIRST)
        elif what == 1:
            ProductLabel.objects.filter(product__in=some[:2]).delete()
        elif what == 2:
            fold_tallies()
        else:
            insert_or_update_rows(ProductLabel, fields=FIELDS, rows=[build_row(id, chance) for id in some])
        assert count_quickly() == count_slowly()
    Product.objects.filter(pk__in=ids[:5]).delete()
    assert count_quickly() == count_slowly()
    assert sum(number for _, _, number in count_by_status_and_group()) == ProductLabel.objects.count()
    assert count_catalogue().products == Product.objects.count()


@pytest.mark.django_db
@pytest.mark.postgresql
def test_many_tallies_become_one_of_each_kind_and_none_that_is_nothing() -> None:
    product = create_product("Product")
    for _ in range(20):
        ProductLabel.objects.filter(product=product).update(status="labelled", group="Bags", labelled_at=FIRST)
        ProductLabel.objects.filter(product=product).update(status="pending", group="", labelled_at=None)
    assert LabelTally.objects.count() > 40
    fold_tallies()
    kinds = list(LabelTally.objects.values_list("status", "group", "day", "number"))
    assert [kind for kind in kinds if kind[0] == "labelled"] == []
    assert sum(number for *_, number in kinds) == 1


@pytest.mark.django_db
@pytest.mark.postgresql
def test_what_was_written_without_triggers_is_counted_anew() -> None:
    ids = [create_product(f"Product {number}").pk for number in range(3)]
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute("SET LOCAL session_replication_role = replica")
        ProductLabel.objects.filter(product__in=ids[:2]).update(status="labelled", group="Bags", labelled_at=FIRST)
        cursor.execute("SET LOCAL session_replication_role = origin")
    assert count_quickly() != count_slowly()
    assert recount_tallies() > 0
    assert count_quickly() == count_slowly()
    assert recount_tallies() == 0


@pytest.mark.django_db(transaction=True)
@pytest.mark.postgresql
def test_writers_folds_and_recounts_at_the_same_time_lose_nothing() -> None:
    ids = [product.pk for product in create_products(f"Product {number}" for number in range(60))]

    def write(mine: list[int], seed: int) -> None:
        chance = random.Random(seed)
        for _ in range(40):
            rows = [build_row(id, chance) for id in sorted(chance.sample(mine, 5))]
            insert_or_update_rows(ProductLabel, fields=FIELDS, rows=rows)
        connection.close()

    def tidy() -> None:
        for _ in range(20):
            fold_tallies()
            recount_tallies()
        connection.close()

    threads = [Thread(target=write, args=(ids[start::3], start)) for start in range(3)] + [Thread(target=tidy)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert count_quickly() == count_slowly()


@pytest.mark.django_db(transaction=True)
@pytest.mark.postgresql
def test_an_emptied_table_has_no_tallies() -> None:
    create_product("Product")
    with connection.cursor() as cursor:
        cursor.execute("TRUNCATE classifier_productlabel CASCADE")
    assert not LabelTally.objects.exists()

"""Labels that are brought up to date while somebody else writes the same products: nobody's work is lost."""

import threading
import time
from collections.abc import Callable, Collection
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.db import OperationalError, connection, transaction

from catalog.interchange import changes
from catalog.interchange.importing import import_catalog
from catalog.interchange.records import ProductRecord
from catalog.models import ProductImages, ProductLabel
from classifier.labels import services
from classifier.labels.services import (
    lock_images,
    refresh_product_labels,
    refresh_stale_labels_of,
    refresh_stale_product_labels,
)
from classifier.models import Review
from config.db import reconnecting
from config.db.bulk import insert_rows
from tests.support.factories import create_image, create_product

pytestmark = [pytest.mark.postgresql, pytest.mark.django_db(transaction=True)]


class Other(threading.Thread):
    """Somebody else's work on a connection of their own; `outcome` is what came of it."""

    def __init__(self, work: Callable[[], Any]) -> None:
        super().__init__(daemon=True)
        self.work, self.outcome = work, None

    def run(self) -> None:
        try:
            self.outcome = self.work()
        except Exception as error:
            self.outcome = error
        finally:
            connection.close()

    def start_and_wait_for_lock(self) -> None:
        """Start, and return when the work waits for a lock that we hold, or has ended."""
        self.start()
        with connection.cursor() as cursor:
            while self.is_alive():
                cursor.execute("SELECT pg_stat_clear_snapshot()")
                cursor.execute("SELECT FROM pg_stat_activity WHERE pg_backend_pid() = ANY (pg_blocking_pids(pid))")
                if cursor.fetchone() is not None:
                    return
                time.sleep(0.01)


def create_stale_label(product_id: int) -> ProductLabel:
    """Give the product the label of a picture that it does not show."""
    return ProductLabel.objects.create(product_id=product_id, image=create_image(), group="Bags", status="labelled")


def build_records(product_ids: list[int]) -> list[ProductRecord]:
    """Build the rows of a file that gives each of the products a new picture."""
    return [
        ProductRecord(line=id, id=id, title=f"Product {id}", images=(f"https://new.example/{id}.jpg",), descriptions={})
        for id in product_ids
    ]


def test_a_label_that_somebody_writes_anew_meanwhile_is_not_removed_as_stale() -> None:
    image = create_image()
    product = create_product(images=[image])
    stale = create_stale_label(product.pk)
    other = Other(lambda: refresh_stale_labels_of([stale.image_id]))
    with transaction.atomic():
        lock_images([image.pk])
        Review.objects.create(image=image, group="Footwear", reviewer=User.objects.create_user("reviewer"))
        refresh_product_labels([image.pk])
        other.start_and_wait_for_lock()
        assert other.is_alive()
    other.join()
    assert other.outcome == 0
    label = ProductLabel.objects.get()
    assert (label.product_id, label.image_id, label.group, label.status) == (
        product.pk,
        image.pk,
        "Footwear",
        "reviewed",
    )


def test_an_import_of_the_same_products_and_their_labels_do_not_wait_for_each_other() -> None:
    known, unknown = create_image(), create_image()
    first, second = create_product("First", images=[known]), create_product("Second", images=[unknown])
    create_stale_label(second.pk)
    Review.objects.create(image=known, group="Footwear", reviewer=User.objects.create_user("reviewer"))
    records = build_records([first.pk, second.pk])
    other = Other(lambda: import_catalog(records).changed)

    def begin_import(execute: Callable[..., Any], sql: str, *arguments: Any) -> Any:
        # The label of the second product is gone, that of the first is about to be written.
        if sql.startswith('INSERT INTO "classifier_productlabel"') and other.ident is None:
            other.start_and_wait_for_lock()
            assert other.is_alive()
        return execute(sql, *arguments)

    with connection.execute_wrapper(begin_import), transaction.atomic():
        lock_images([known.pk, unknown.pk])
        refresh_product_labels([known.pk, unknown.pk])
    other.join()
    assert other.outcome == 2
    assert list(ProductLabel.objects.values_list("product_id", "group")) == [(first.pk, "Footwear")]


def test_stale_labels_that_meet_somebody_halfway_are_looked_at_again(monkeypatch: pytest.MonkeyPatch) -> None:
    image = create_image()
    product = create_product(images=[image])
    create_stale_label(product.pk)
    Review.objects.create(image=image, group="Footwear", reviewer=User.objects.create_user("reviewer"))

    def lose(_image_ids: Collection[int]) -> None:
        monkeypatch.setattr(services, "lock_images", lock_images)
        raise OperationalError("deadlock detected")

    monkeypatch.setattr(services, "lock_images", lose)
    monkeypatch.setattr(reconnecting, "PAUSE_SECONDS", 0.0)
    assert refresh_stale_product_labels() == 1
    assert list(ProductLabel.objects.values_list("image_id", "group")) == [(image.pk, "Footwear")]


def test_an_import_that_meets_stale_labels_halfway_is_done_again(monkeypatch: pytest.MonkeyPatch) -> None:
    without, with_picture = create_product(), create_product(images=[create_image()])
    for product in (without, with_picture):
        create_stale_label(product.pk)
    other = Other(refresh_stale_product_labels)
    insert_as_always, writes = insert_rows, []

    def begin_refresh(model: type[Any], **rows: Any) -> None:
        # The picture of the second product is gone, those of both are about to come.
        if model is ProductImages:
            writes.append(other.ident)
            if len(writes) == 1:
                other.start_and_wait_for_lock()
                assert other.is_alive()
        insert_as_always(model, **rows)

    monkeypatch.setattr(changes, "insert_rows", begin_refresh)
    with connection.cursor() as cursor:
        # Whoever looks first is the one whose transaction ends.
        cursor.execute("SET deadlock_timeout = '20ms'")
        try:
            assert import_catalog(build_records([without.pk, with_picture.pk])).changed == 2
        finally:
            cursor.execute("RESET deadlock_timeout")
    other.join()
    # Once more at least; on a busy machine the other may still be in the way.
    assert len(writes) >= 2
    assert isinstance(other.outcome, int)
    assert not ProductLabel.objects.exists()
    assert list(ProductImages.objects.values_list("product_id", "image__url")) == [
        (product.pk, f"https://new.example/{product.pk}.jpg") for product in (without, with_picture)
    ]

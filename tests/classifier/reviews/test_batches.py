"""Tiles that are lent to one reviewer: nobody else has them until the time has run out."""

import threading
from datetime import timedelta

import pytest
from django.contrib.auth.models import User
from django.db import IntegrityError, connection, transaction
from django.utils import timezone

from catalog.models import Product
from classifier.models import QueueName, Review, ReviewBatch, ReviewTile, Verdict
from classifier.reviews.batches import LeaseError, find_open_batch, list_tiles, renew_batch, start_batch
from classifier.reviews.queues import QUEUES, Choice, Queue, find_queue
from classifier.reviews.recording import Submission, submit_reviews
from classifier.reviews.services import record_review
from tests.support.factories import create_product
from tests.support.fakes import create_model_version, create_painted_image
from tests.support.labels import label_everything
from tests.support.members import create_member

pytestmark = [pytest.mark.django_db, pytest.mark.both_databases]

UNSURE = QUEUES[QueueName.UNSURE]


def create_unsure(number: int) -> list[Product]:
    """Create products whose pictures the fake classifier is not sure of."""
    create_model_version()
    products = [create_product(images=[create_painted_image("Bag", unsure=True)]) for _ in range(number)]
    label_everything()
    return products


def start(reviewer: User, *, size: int = 24, queue: Queue = UNSURE) -> ReviewBatch:
    batch = start_batch(reviewer, queue, size=size)
    assert batch is not None
    return batch


def expire(batch: ReviewBatch) -> None:
    ReviewBatch.objects.filter(pk=batch.pk).update(expires_at=timezone.now() - timedelta(seconds=1))


def list_products(batch: ReviewBatch) -> list[int]:
    return [tile.row.product_id for tile in list_tiles(batch)]


def test_two_people_get_different_tiles_and_then_nothing_waits() -> None:
    products = create_unsure(5)
    first, second = create_member(), create_member()
    one, other = start(first, size=3), start(second, size=3)
    assert list_products(one) == [product.pk for product in products[:3]]
    assert list_products(other) == [product.pk for product in products[3:]]
    assert start_batch(first, UNSURE) is None
    assert ReviewBatch.objects.count() == 2


def test_what_an_expired_lease_leaves_goes_to_whoever_asks() -> None:
    products = create_unsure(2)
    late, quick = create_member(), create_member()
    batch = start(late)
    image = list_tiles(batch)[0].row.image_id
    submit_reviews([Submission(image=image, group="Bags", batch=batch.pk)], reviewer=late)
    expire(batch)
    assert list_products(start(quick)) == [products[1].pk]
    assert [tile.row.state for tile in list_tiles(batch)] == ["reviewed", "freed"]


def test_a_lease_is_renewed_until_its_tiles_went_back() -> None:
    create_unsure(1)
    reviewer = create_member()
    batch = start(reviewer)
    expire(batch)
    assert renew_batch(batch) > timezone.now() + timedelta(minutes=9)
    assert find_open_batch(reviewer, UNSURE) == batch
    expire(batch)
    assert find_open_batch(reviewer, UNSURE) is None
    start(create_member())
    with pytest.raises(LeaseError, match="went back into the queue"):
        renew_batch(batch)


def test_a_tile_shows_its_suggestion_unless_it_is_blind() -> None:
    (product,) = create_unsure(1)
    image_id = product.product_images.get().image_id
    (tile,) = list_tiles(start(create_member()))
    assert (tile.row.suggestion, tile.garment, tile.seen_review) == ("Bags", "Bag", None)
    assert tile.confidence == pytest.approx(0.9)
    ReviewTile.objects.all().delete()
    blind = Queue("audit", "", "", lambda: None, lambda reviewer, size: [Choice(product.pk, image_id, True, 0.25)])
    (tile,) = list_tiles(start(create_member(), queue=blind, size=1))
    assert (tile.row.blind, tile.row.suggestion, tile.garment, tile.confidence) == (True, "", "", None)
    assert tile.row.inclusion_probability == 0.25


def test_a_persons_verdict_is_a_suggestion_too() -> None:
    (product,) = create_unsure(1)
    image = product.product_images.get().image
    review = record_review(image, verdict=Verdict.UNUSABLE, reviewer=create_member())
    (tile,) = list_tiles(start(create_member(), queue=find_queue("list", {"status": ["unusable"]})))
    assert (tile.row.suggestion, tile.confidence, tile.seen_review) == ("unusable", None, review.pk)


def test_the_queue_of_a_list_leaves_out_what_the_reviewer_labelled() -> None:
    first, second = create_unsure(2)
    reviewer = create_member()
    record_review(first.product_images.get().image, group="Bags", reviewer=reviewer)
    queue = find_queue("list", {"group": ["Bags"], "search": "Product"})
    assert list_products(start(reviewer, queue=queue)) == [second.pk]
    assert list_products(start(create_member(), queue=queue)) == [first.pk]
    assert find_open_batch(reviewer, queue).filter == {"group": ["Bags"], "search": "Product"}
    assert find_open_batch(reviewer, find_queue("list", {})) is None


def test_products_that_show_one_image_keep_nothing_else_from_whoever_comes_next() -> None:
    create_model_version()
    shared = create_painted_image("Bag", unsure=True)
    for _ in range(30):
        create_product(images=[shared])
    others = [create_product(images=[create_painted_image("Bag", unsure=True)]) for _ in range(4)]
    label_everything()
    one, other = create_member(), create_member()
    for queue in (UNSURE, find_queue(QueueName.LIST, {"status": "needs_review"})):
        ReviewBatch.objects.all().delete()
        first, second = start(one, size=3, queue=queue), start(other, size=2, queue=queue)
        assert (len(list_products(first)), len(list_products(second))) == (3, 2)
        lent = set(list_products(first) + list_products(second))
        assert {product.pk for product in others} < lent
        assert start_batch(one, queue) is None


def test_the_database_lends_nothing_twice() -> None:
    (product,) = create_unsure(1)
    batch = start(create_member())
    tile = batch.tiles.get()
    other = create_product(images=["https://shop.example/other.jpg"])
    image = other.product_images.get().image
    for fields in ({"product": product, "image": image}, {"product": other, "image": tile.image}):
        with pytest.raises(IntegrityError), transaction.atomic():
            ReviewTile.objects.create(batch=batch, position=1, **fields)


def test_tiles_of_deleted_products_are_missing_and_cost_no_round() -> None:
    products = create_unsure(3)
    batch = start(create_member())
    products[1].delete()
    assert list_products(batch) == [products[0].pk, products[2].pk]


@pytest.mark.django_db(transaction=True)
def test_eight_reviewers_at_once_get_every_tile_once() -> None:
    products = create_unsure(40)
    reviewers = [create_member() for _ in range(8)]
    barrier, failures = threading.Barrier(8), []

    def take(reviewer: User) -> None:
        try:
            barrier.wait(timeout=30)
            while start_batch(reviewer, UNSURE, size=3) is not None:
                pass
        except Exception as error:  # what a thread raises is seen by nobody else
            failures.append(error)
        finally:
            connection.close()

    threads = [threading.Thread(target=take, args=(reviewer,)) for reviewer in reviewers]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(timeout=120)
    assert failures == []
    lent = ReviewTile.objects.order_by("product_id").values_list("product_id", flat=True)
    assert list(lent) == sorted(product.pk for product in products)
    assert not Review.objects.exists()

"""A person's label, and the current label of a product."""

import threading
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.db import connection, transaction

from catalog.models import Image, ProductImages
from classifier.dispatch import start_labelling_run
from classifier.labelling import label_batch
from classifier.ledger import Failed, Labelled, claim_tasks, finish_tasks
from classifier.models import Classification, LabelTask, ProductLabel, Review
from classifier.services import ReviewError, record_review, refresh_stale_product_labels
from tests.classifier.fakes import FakeClassifier, build_prediction, create_model_version, create_painted_image
from tests.factories import create_product

pytestmark = [pytest.mark.django_db, pytest.mark.both_databases]


@pytest.fixture
def reviewer() -> User:
    return User.objects.create_user("reviewer")


def label_everything(**options: object) -> None:
    start_labelling_run(**options)
    due = list(LabelTask.objects.due().values_list("pk", flat=True))
    label_batch(due, get_classifier=lambda _: FakeClassifier())


def test_a_product_has_the_label_of_its_first_picture() -> None:
    create_model_version()
    product = create_product(images=[create_painted_image("Bag"), create_painted_image("Dress")])
    label_everything()
    label = product.label
    assert (label.group, label.garment, label.status, label.source) == ("Bags", "Bag", "labelled", "machine")
    assert label.confidence == pytest.approx(0.9)
    assert label.classification.run.total == 2
    assert label.model_version.name == label.classification.model_version.name


def test_an_abstained_picture_needs_review_and_keeps_its_label() -> None:
    create_model_version()
    product = create_product(images=[create_painted_image("Coat", unsure=True)])
    label_everything()
    assert (product.label.group, product.label.status) == ("Upper part", "needs_review")


def test_a_person_wins_over_the_machine_before_and_after(reviewer: User) -> None:
    create_model_version()
    image = create_painted_image("Bag")
    product = create_product(images=[image])
    label_everything()
    record_review(image, group="Footwear", garment="Sandal", reviewer=reviewer)
    label_everything(relabel=True)
    label = ProductLabel.objects.get(product=product)
    assert (label.group, label.garment, label.status, label.source) == ("Footwear", "Sandal", "reviewed", "person")
    assert Classification.objects.filter(image=image).count() == 2


def test_the_newest_review_wins(reviewer: User) -> None:
    image = create_painted_image("Bag")
    product = create_product(images=[image])
    record_review(image, group="Footwear", reviewer=reviewer)
    record_review(image, group="One piece", garment="Dress", reviewer=reviewer)
    assert (product.label.group, product.label.garment) == ("One piece", "Dress")


@pytest.mark.parametrize(
    "group,garment,message",
    [
        ("Hats", "", "Expected a group out of Upper part, .*received 'Hats'"),
        ("Bags", "Dress", r"Expected a garment of Bags \(Bag\), or none; received 'Dress'"),
        ("Bags", "Umbrella", "received 'Umbrella'"),
    ],
)
def test_a_review_of_something_else_is_refused_and_leaves_nothing(
    reviewer: User, group: str, garment: str, message: str
) -> None:
    image = create_painted_image("Bag")
    create_product(images=[image])
    with pytest.raises(ReviewError, match=message):
        record_review(image, group=group, garment=garment, reviewer=reviewer)
    assert not Review.objects.exists()
    assert not ProductLabel.objects.exists()


def test_the_latest_run_decides_even_when_an_older_one_ends_later() -> None:
    create_model_version(stage="active")
    image = create_painted_image("Bag")
    product = create_product(images=[image])
    old = start_labelling_run()
    old.model_version.__class__.objects.update(stage="retired")
    create_model_version(stage="active")
    new = start_labelling_run()
    late = claim_tasks(list(old.tasks.values_list("pk", flat=True)))
    for run, garment in ((new, "Dress"), (old, "Sneaker")):
        batch = late if run is old else claim_tasks(list(run.tasks.values_list("pk", flat=True)))
        finish_tasks(batch, [Labelled("0" * 64, build_prediction(garment))])
    assert (product.label.garment, product.label.model_version) == ("Dress", new.model_version)


def test_a_failure_does_not_take_away_an_earlier_label() -> None:
    create_model_version()
    product = create_product(images=[create_painted_image("Bag")])
    label_everything()
    run = start_labelling_run(relabel=True)
    finish_tasks(claim_tasks(list(run.tasks.values_list("pk", flat=True))), [Failed("not_found")])
    assert ProductLabel.objects.get(product=product).status == "labelled"


def test_two_products_share_a_picture_and_its_label() -> None:
    create_model_version()
    image = create_painted_image("Trouser")
    products = [create_product(images=[image]), create_product(images=[image])]
    label_everything()
    assert [product.label.group for product in products] == ["Bottom part", "Bottom part"]


@pytest.mark.parametrize("batch_size", [1, 2, 3, 5000])
def test_labels_follow_when_the_catalogue_moves_pictures(batch_size: int) -> None:
    create_model_version()
    bag, dress = create_painted_image("Bag"), create_painted_image("Dress")
    product = create_product(images=[bag, dress])
    emptied = create_product(images=[create_painted_image("Coat")])
    label_everything()
    ProductImages.objects.filter(product=product).delete()
    ProductImages.objects.create(product=product, image=dress, image_index=0)
    ProductImages.objects.filter(product=emptied).delete()
    newcomer = create_product(images=[bag])
    assert refresh_stale_product_labels(batch_size=batch_size) == 4
    labels = dict(ProductLabel.objects.values_list("product_id", "garment"))
    assert labels == {product.pk: "Dress", newcomer.pk: "Bag"}
    assert refresh_stale_product_labels(batch_size=batch_size) == 0


def test_labels_that_are_right_are_not_looked_at_one_by_one(django_assert_num_queries: Any) -> None:
    create_model_version()
    for _ in range(3):
        create_product(images=[create_painted_image("Bag")])
    label_everything()
    create_product(images=[create_painted_image("Bag")])
    # The last image; then the end of the batch, its places, its labels, and what is known of those without one.
    with django_assert_num_queries(1 + 6):
        assert refresh_stale_product_labels() == 0


@pytest.mark.postgresql
@pytest.mark.django_db(transaction=True)
def test_a_review_saved_while_the_machine_finishes_is_not_overwritten(reviewer: User) -> None:
    create_model_version()
    image = create_painted_image("Bag")
    product = create_product(images=[image])
    run = start_labelling_run()
    batch = claim_tasks(list(run.tasks.values_list("pk", flat=True)))

    def finish() -> None:
        try:
            finish_tasks(batch, [Labelled("0" * 64, build_prediction("Bag"))])
        finally:
            connection.close()

    machine = threading.Thread(target=finish)
    with transaction.atomic():
        record_review(Image.objects.get(pk=image.pk), group="Footwear", reviewer=reviewer)
        machine.start()
        machine.join(timeout=0.5)
        assert machine.is_alive(), "the machine waits for the person's transaction"
    machine.join(timeout=10)
    assert not machine.is_alive()
    label = ProductLabel.objects.get(product=product)
    assert (label.group, label.source) == ("Footwear", "person")
    assert Classification.objects.get(image=image).garment == "Bag"

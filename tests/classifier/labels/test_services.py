"""A person's label, and the current label of a product."""

import threading
from datetime import timedelta
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.db import connection, transaction
from django.utils import timezone

from catalog.models import Image, ProductLabel
from classifier.labelling.batches import label_batch
from classifier.labelling.ledger import Failed, claim_tasks, finish_tasks
from classifier.labelling.starting import start_labelling_run
from classifier.labels.facts import list_deciding_versions
from classifier.labels.walk import refresh_all_labels
from classifier.models import Classification, LabelChange, LabelTask, ModelVersion, Review
from classifier.reviews.services import ReviewError, record_review
from tests.support.factories import create_product
from tests.support.fakes import FakeClassifier, build_outcome, create_model_version, create_painted_image

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
    assert ProductLabel.objects.get().status == "pending"


def test_the_version_in_production_decides_even_when_a_run_of_another_ends_later() -> None:
    former = create_model_version()
    image = create_painted_image("Bag")
    product = create_product(images=[image])
    old = start_labelling_run()
    late = claim_tasks(list(old.tasks.values_list("pk", flat=True)))
    ModelVersion.objects.filter(pk=former.pk).update(stage="retired")
    active = create_model_version()
    new = start_labelling_run()
    batch = claim_tasks(list(new.tasks.values_list("pk", flat=True)))
    finish_tasks(batch, [build_outcome(image, "Dress")])
    finish_tasks(late, [build_outcome(image, "Sneaker")])
    label = ProductLabel.objects.get(product=product)
    assert (label.garment, label.model_version) == ("Dress", active)


def test_versions_before_decide_where_the_one_in_production_has_said_nothing() -> None:
    versions = [create_model_version(stage="retired") for _ in range(3)]
    oldest, left, candidate = versions
    now = timezone.now()
    for days, version in ((9, oldest), (5, left)):
        version.first_activated_at = now - timedelta(days=days)
        version.left_at = now if version is left else None
        version.save()
    ModelVersion.objects.filter(pk=candidate.pk).update(stage="candidate")
    active = create_model_version()
    later = create_model_version(stage="retired")
    ModelVersion.objects.filter(pk=later.pk).update(first_activated_at=now + timedelta(days=1))
    assert list_deciding_versions() == [active.pk, oldest.pk]
    ModelVersion.objects.filter(pk=left.pk).update(left_at=None)
    assert list_deciding_versions() == [active.pk, left.pk, oldest.pk]
    ModelVersion.objects.filter(pk=active.pk).update(stage="retired")
    assert list_deciding_versions() == [later.pk, active.pk, left.pk, oldest.pk]


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


def test_labels_that_are_right_cost_a_step_few_queries_however_many_there_are(
    django_assert_max_num_queries: Any,
) -> None:
    create_model_version()
    for _ in range(30):
        create_product(images=[create_painted_image("Bag")])
    label_everything()
    # Ids and first images; pictures, reviews (two), versions, classifications, failures, labels; pictures that were not
    # suspected, and which many products show; and that it was all: suspects, those that nobody answered and unsettled.
    with django_assert_max_num_queries(20):
        assert refresh_all_labels() == (30, 0)


def test_a_change_that_no_reader_sees_is_no_history() -> None:
    create_model_version()
    product = create_product(images=[create_painted_image("Bag")])
    label_everything()
    before = LabelChange.objects.count()
    labelled_at = product.label.labelled_at
    label_everything(relabel=True)
    assert ProductLabel.objects.get(product=product).labelled_at > labelled_at
    assert LabelChange.objects.count() == before


def test_the_history_holds_values() -> None:
    version = create_model_version()
    product = create_product(images=[create_painted_image("Coat", unsure=True)])
    label_everything()
    (change,) = LabelChange.objects.filter(product_id=product.pk)
    picture = Image.objects.get().stored_picture
    assert (change.old_status, change.old_group, change.old_confidence) == ("pending", "", None)
    assert (change.new_status, change.new_group, change.new_garment) == ("needs_review", "Upper part", "Coat")
    assert (change.new_confidence, change.new_source, change.new_reason) == (
        product.label.confidence,
        "machine",
        "unsure",
    )
    assert (change.new_version_id, change.version_name, change.why) == (version.pk, version.name, "classified")
    assert bytes(change.sha256).hex() == picture.sha256
    assert timezone.now() - change.at < timedelta(minutes=1)


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
            finish_tasks(batch, [build_outcome(image, "Bag")])
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

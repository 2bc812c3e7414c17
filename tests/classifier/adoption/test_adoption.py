"""Another version in production: labels follow from what was said before, and going back brings them back."""

from collections.abc import Iterator

import pytest
from django.contrib.auth.models import User
from django.db import connection, transaction
from django.test.utils import CaptureQueriesContext

from catalog.models import Product, ProductLabel
from classifier.adoption import runs as adoption_runs
from classifier.adoption.runs import adopt_next_step, list_version_counts
from classifier.labelling.batches import label_batch
from classifier.labelling.ledger import claim_tasks, finish_tasks
from classifier.labelling.starting import start_labelling_run
from classifier.labels import services as labels_services
from classifier.labels.walk import refresh_all_labels
from classifier.models import AdoptionRun, LabelChange, LabellingRun, LabelTask, ModelVersion
from classifier.reviews.services import record_review
from tests.support.artefacts import bring_into_production
from tests.support.blocked import run_until_blocked
from tests.support.factories import create_product
from tests.support.fakes import FakeClassifier, build_outcome, create_model_version, create_painted_image
from tests.support.labels import label_everything

pytestmark = [pytest.mark.django_db, pytest.mark.both_databases]


@pytest.fixture(autouse=True)
def _no_files(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let versions without files be activated; leave the steps to the tests."""
    monkeypatch.setattr("classifier.adoption.services.verify_version", lambda _version: None)
    monkeypatch.setattr("classifier.adoption.services.send_adoption_runs", lambda: 0)


@pytest.fixture(autouse=True)
def _nothing_is_left_behind() -> Iterator[None]:
    yield
    assert refresh_all_labels(dry_run=True)[1] == 0


def label_with(version: ModelVersion, garments: dict[Product, str]) -> None:
    """Let the version, which is active, say these garments of the products' first pictures."""
    run = start_labelling_run(relabel=True)
    assert run.model_version == version
    batch = claim_tasks(list(run.tasks.values_list("pk", flat=True)))
    images = {product.product_images.get().image_id: garment for product, garment in garments.items()}
    hashes = {product.product_images.get().image_id: f"{product.pk:064x}" for product in garments}
    outcomes = [
        build_outcome(task.image, images[task.image_id], sha256=hashes[task.image_id])
        for task in batch.tasks
        if task.image_id in images
    ]
    assert finish_tasks(batch, outcomes) == len(garments)


def activate(version: ModelVersion) -> AdoptionRun:
    bring_into_production(version)
    run = AdoptionRun.objects.get(state="running")
    while adopt_next_step(run.pk):
        pass
    run.refresh_from_db()
    assert run.state == "done"
    return run


def adopt_another(number: int) -> tuple[ModelVersion, ModelVersion]:
    """Return a version that said bags of so many products, and the one in production, which says dresses of them."""
    first, second = create_model_version(), create_model_version(stage="candidate")
    products = [create_product(images=[create_painted_image("Bag")]) for _ in range(number)]
    label_with(first, dict.fromkeys(products, "Bag"))
    labelling = activate(second).labelling_run
    assert labelling is not None
    batch = claim_tasks(list(labelling.tasks.values_list("pk", flat=True)))
    hashes = {product.product_images.get().image_id: f"{product.pk:064x}" for product in products}
    finish_tasks(batch, [build_outcome(task.image, "Dress", sha256=hashes[task.image_id]) for task in batch.tasks])
    return first, second


def get_garments() -> dict[int, str]:
    return dict(ProductLabel.objects.values_list("product_id", "garment"))


@pytest.mark.postgresql
@pytest.mark.django_db(transaction=True)
def test_going_back_waits_for_the_step_of_an_adoption_and_neither_fails() -> None:
    first, second = adopt_another(3)
    bring_into_production(first)
    run = AdoptionRun.objects.get(state="running")
    with transaction.atomic():
        assert adopt_next_step(run.pk)
        assert LabelChange.objects.filter(why="activated", version_name=first.name).count() == 3
        # It has all versions then, and waits for the run that this step holds.
        end = run_until_blocked(lambda: bring_into_production(second))
    assert end() == []
    assert ModelVersion.objects.get(stage="production") == second
    while adopt_next_step(AdoptionRun.objects.get(state="running").pk):
        pass
    assert set(get_garments().values()) == {"Dress"}


@pytest.mark.postgresql
def test_postgresql_learns_which_labels_there_are_as_they_change(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(adoption_runs, "STEP_SIZE", 1)
    monkeypatch.setattr(labels_services, "LEARNT_FROM", 2)
    first, _ = adopt_another(5)
    with CaptureQueriesContext(connection) as queries:
        activate(first)
    # At two and four of five.
    assert sum("ANALYZE" in query["sql"] for query in queries) == 2


@pytest.mark.parametrize("step", [1, 2, 1000])
def test_going_back_brings_the_labels_back_without_inference(monkeypatch: pytest.MonkeyPatch, step: int) -> None:
    monkeypatch.setattr(adoption_runs, "STEP_SIZE", step)
    first, second = create_model_version(), create_model_version(stage="candidate")
    bags = [create_product(images=[create_painted_image("Bag")]) for _ in range(3)]
    label_with(first, dict.fromkeys(bags, "Bag"))
    run = activate(second)
    # Nothing is lost meanwhile: what the new version has not seen keeps its label, and goes on a run.
    assert (run.done, run.changed, run.missing, run.labelling_run.total) == (3, 0, 3, 3)
    batch = claim_tasks(list(run.labelling_run.tasks.values_list("pk", flat=True)))
    hashes = {product.product_images.get().image_id: f"{product.pk:064x}" for product in bags}
    finish_tasks(batch, [build_outcome(task.image, "Dress", sha256=hashes[task.image_id]) for task in batch.tasks])
    assert set(get_garments().values()) == {"Dress"}
    before = LabelTask.objects.count()
    run = activate(first)
    assert (run.done, run.changed, run.missing, run.labelling_run) == (3, 3, 0, None)
    assert set(get_garments().values()) == {"Bag"}
    assert LabelTask.objects.count() == before
    assert LabelChange.objects.filter(why="activated", new_garment="Bag", version_name=first.name).count() == 3
    assert list_version_counts() == [(first.name, 3)]
    # And forward again: it was no new version that was left.
    run = activate(second)
    assert (run.changed, run.missing) == (3, 0)
    assert set(get_garments().values()) == {"Dress"}


def test_a_version_that_was_left_decides_nothing() -> None:
    first, second = create_model_version(), create_model_version(stage="candidate")
    seen, new = (create_product(images=[create_painted_image("Bag")]) for _ in range(2))
    activate(second)
    label_with(second, {seen: "Dress", new: "Dress"})
    run = activate(first)
    # The first version has said nothing of either, and the second was left by going back: both go on a run.
    assert set(ProductLabel.objects.values_list("status", "garment")) == {("pending", "")}
    assert (run.changed, run.missing, run.labelling_run.total) == (2, 2, 2)
    second.refresh_from_db()
    assert second.left_at is not None
    activate(second)
    second.refresh_from_db()
    assert second.left_at is None
    assert set(get_garments().values()) == {"Dress"}


def test_an_open_run_of_another_version_is_closed_and_its_pictures_go_to_the_new_one() -> None:
    create_model_version()
    second = create_model_version(stage="candidate")
    products = [create_product(images=[create_painted_image("Coat")]) for _ in range(3)]
    open_run = start_labelling_run()
    held = claim_tasks(list(open_run.tasks.values_list("pk", flat=True))[:1])
    run = activate(second)
    open_run.refresh_from_db()
    assert (open_run.state, open_run.closing, run.closed_runs) == ("cancelled", True, 1)
    # What a worker had in hand is finished, by the version that it was begun with.
    finish_tasks(held, [build_outcome(held.tasks[0].image, "Bag", sha256="1" * 64)])
    assert ProductLabel.objects.get(product=products[0]).garment == "Bag"
    assert (run.labelling_run.model_version, run.labelling_run.total) == (second, 3)
    due = list(run.labelling_run.tasks.values_list("pk", flat=True))
    label_batch(due, get_classifier=lambda _: FakeClassifier())
    assert set(get_garments().values()) == {"Coat"}


def test_the_first_activation_starts_no_run_by_itself() -> None:
    version = create_model_version(stage="candidate")
    create_product(images=[create_painted_image("Coat")])
    run = activate(version)
    assert (run.changed, run.missing, run.labelling_run) == (0, 0, None)
    assert not LabellingRun.objects.exists()


def test_a_person_keeps_the_last_word() -> None:
    create_model_version()
    second = create_model_version(stage="candidate")
    image = create_painted_image("Bag")
    product = create_product(images=[image, create_painted_image("Dress")])
    label_everything()
    record_review(image, group="Footwear", reviewer=User.objects.create_user("reviewer"))
    run = activate(second)
    # It looks at both pictures all the same: the review may be withdrawn, and the other picture come first.
    assert (run.changed, run.missing, run.labelling_run.total) == (0, 2, 2)
    label_batch(list(run.labelling_run.tasks.values_list("pk", flat=True)), get_classifier=lambda _: FakeClassifier())
    assert ProductLabel.objects.get(product=product).group == "Footwear"


def test_another_activation_ends_the_adoption_before() -> None:
    first, second = create_model_version(), create_model_version(stage="candidate")
    create_product(images=[create_painted_image("Bag")])
    label_everything()
    bring_into_production(second)
    bring_into_production(first)
    states = list(AdoptionRun.objects.order_by("pk").values_list("model_version", "state"))
    assert states == [(second.pk, "cancelled"), (first.pk, "running")]
    assert not adopt_next_step(AdoptionRun.objects.order_by("pk")[0].pk)

"""Labels that follow from features: no task and no message, in one transaction with the run's position."""

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext

from catalog.models import Image, ProductLabel, StoredPicture
from classifier.adoption.impact import preview_next_step, start_due_impact_runs
from classifier.features.selectors import find_features
from classifier.labelling import classifications, tasks
from classifier.labelling.batches import label_batch
from classifier.labelling.reports import get_run_report
from classifier.labelling.runs import cancel_labelling_run, do_run_steps, take_next_step
from classifier.labelling.starting import start_labelling_run
from classifier.labelling.tasks import send_taking_runs, take_pictures_task
from classifier.labels import services
from classifier.ml.artefacts import DEFAULT_ARTEFACT, verify_artefact
from classifier.ml.heads import Heads, SeenPictures, predict, read_heads
from classifier.models import (
    Classification,
    ImpactRun,
    LabelChange,
    LabellingRun,
    LabelTask,
    ModelVersion,
    PictureFeatures,
)
from classifier.reviews.services import record_review
from tests.support.factories import create_product
from tests.support.fakes import FakeClassifier, Outbox, create_model_version, create_painted_image
from tests.support.members import create_member, sign_in
from tests.support.small_steps import small_steps  # noqa: F401 (a fixture)

pytestmark = [pytest.mark.django_db, pytest.mark.both_databases]

GARMENTS = ("Trouser", "Dress", "Bag", "Coat", "Sandal")


@pytest.fixture(autouse=True)
def heads(monkeypatch: pytest.MonkeyPatch) -> Heads:
    """Every version has the heads of the shipped artefact."""
    heads = read_heads(verify_artefact(DEFAULT_ARTEFACT))
    monkeypatch.setattr(classifications, "find_heads", lambda version: heads)
    return heads


@pytest.fixture
def images() -> list[Image]:
    """Five pictures that a version labelled, of five products."""
    create_model_version()
    images = [create_painted_image(garment) for garment in GARMENTS]
    for image in images:
        create_product(images=[image])
    start_labelling_run()
    do_run_steps(seconds=60)
    label_due()
    return images


@pytest.fixture
def heads_only(images: list[Image]) -> ModelVersion:
    """Another version on the same base, in production now."""
    former = ModelVersion.objects.get()
    ModelVersion.objects.update(stage="retired")
    return create_model_version(base=former.base)


def label_due() -> None:
    due = list(LabelTask.objects.due().values_list("pk", flat=True))
    label_batch(due, get_classifier=lambda _: FakeClassifier())


def finish(run: LabellingRun) -> LabellingRun:
    while take_next_step(run.pk):
        pass
    run.refresh_from_db()
    return run


def list_labels() -> list[tuple[str, str]]:
    return list(ProductLabel.objects.order_by("product").values_list("garment", "model_version__name"))


def test_a_shadow_of_other_heads_knows_at_once_and_exactly_what_would_change(images: list[Image]) -> None:
    candidate = create_model_version(stage="candidate", base=ModelVersion.objects.get().base)
    tasks_before, labels = LabelTask.objects.count(), list_labels()
    run = finish(start_labelling_run(shadow=candidate))
    assert (run.state, run.total, run.from_features, LabelTask.objects.count()) == ("done", 5, 5, tasks_before)
    start_due_impact_runs()
    impact = ImpactRun.objects.get()
    while preview_next_step(impact.pk):
        pass
    impact.refresh_from_db()
    assert (impact.state, impact.missing, impact.mix) == ("done", 0, {"needs_review": 5})
    assert list_labels() == labels


@pytest.mark.postgresql
def test_postgresql_learns_which_labels_there_are_as_a_run_writes_them(
    images: list[Image], heads_only: ModelVersion, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(services, "LEARNT_FROM", 2)
    run = start_labelling_run()
    with CaptureQueriesContext(connection) as queries:
        finish(run)
    # The start took two pictures; at four of five.
    assert sum("ANALYZE" in query["sql"] for query in queries) == 1


def test_two_runs_that_take_the_same_pictures_at_once_label_each_once(
    images: list[Image], heads_only: ModelVersion, monkeypatch: pytest.MonkeyPatch
) -> None:
    lock_images = classifications.lock_images

    def come_second(image_ids: list[int]) -> None:
        """Wait for the lock until another run has labelled the first two pictures."""
        monkeypatch.setattr(classifications, "lock_images", lock_images)
        start_labelling_run(images=Image.objects.filter(pk__in=[image.pk for image in images[:2]]))
        lock_images(image_ids)

    monkeypatch.setattr(classifications, "lock_images", come_second)
    tasks_before = LabelTask.objects.count()
    run = finish(start_labelling_run())
    assert (run.state, run.total, run.from_features) == ("done", 3, 3)
    assert Classification.objects.filter(model_version=heads_only).count() == 5
    assert LabelTask.objects.count() == tasks_before


def test_pictures_whose_features_are_known_are_labelled_as_they_are_taken(
    images: list[Image], heads_only: ModelVersion, heads: Heads
) -> None:
    tasks_before, changes = LabelTask.objects.count(), LabelChange.objects.count()
    run = finish(start_labelling_run())
    assert (run.state, run.total, run.from_features) == ("done", 5, 5)
    assert LabelTask.objects.count() == tasks_before
    assert list_labels() == [(garment, heads_only.name) for garment in GARMENTS]
    assert LabelChange.objects.count() == changes + 5
    said = Classification.objects.get(image=images[0], model_version=heads_only)
    features = find_features(heads_only.base_id, [said.sha256])[said.sha256]
    (expected,) = predict(SeenPictures.of([features]), heads=heads)
    assert (said.run, said.abstained) == (run, expected.abstained)
    # Summed in an order of its own for another number of pictures.
    assert said.confidence == pytest.approx(expected.confidence)
    report = get_run_report(run)
    assert (report.progress.total, report.progress.done, report.progress.finished) == (5, 5, 5)
    # A second run finds nothing more to do, though there is no task.
    assert finish(start_labelling_run()).total == 0


def test_the_others_become_tasks(images: list[Image], heads_only: ModelVersion) -> None:
    PictureFeatures.objects.filter(sha256=held(images[1])).delete()
    PictureFeatures.objects.filter(sha256=held(images[2])).update(logits=None)
    # What was got from another address is not the image's picture.
    StoredPicture.objects.filter(image=images[3]).update(url="https://shop.example/former.jpg")
    run = finish(start_labelling_run())
    assert (run.state, run.total, run.from_features) == ("running", 5, 2)
    assert set(LabelTask.objects.filter(run=run).values_list("image_id", flat=True)) == {i.pk for i in images[1:4]}
    label_due()
    run.refresh_from_db()
    assert (run.state, run.done, run.figures["progress"]["total"]) == ("done", 5, 5)
    assert list_labels() == [(garment, heads_only.name) for garment in GARMENTS]


def held(image: Image) -> bytes:
    return bytes.fromhex(StoredPicture.objects.get(image=image).sha256)


def test_a_limit_counts_them(images: list[Image], heads_only: ModelVersion) -> None:
    run = finish(start_labelling_run(limit=3))
    assert (run.state, run.total, run.from_features) == ("done", 3, 3)
    assert Classification.objects.filter(model_version=heads_only).count() == 3


def test_to_label_again_is_to_look_again(images: list[Image], heads_only: ModelVersion) -> None:
    finish(start_labelling_run())
    run = finish(start_labelling_run(relabel=True))
    assert (run.total, run.from_features, run.tasks.count()) == (5, 0, 5)


def test_without_the_versions_files_they_become_tasks(
    images: list[Image], heads_only: ModelVersion, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(classifications, "find_heads", lambda version: None)
    run = finish(start_labelling_run())
    assert (run.total, run.from_features, run.tasks.count()) == (5, 0, 5)


def test_a_person_keeps_the_last_word(images: list[Image], heads_only: ModelVersion) -> None:
    record_review(images[0], group="Bags", reviewer=create_member("add_review"))
    finish(start_labelling_run())
    label = ProductLabel.objects.order_by("product").first()
    assert (label.group, label.source, label.model_version) == ("Bags", "person", heads_only)


def test_a_step_that_is_killed_leaves_nothing(
    images: list[Image], heads_only: ModelVersion, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = start_labelling_run()

    class KilledError(BaseException):
        """What ends the process after the rows were written and before they are committed."""

    def die(*_arguments: object, **_options: object) -> None:
        assert Classification.objects.filter(run=run).count() == 4
        raise KilledError

    with monkeypatch.context() as dying:
        dying.setattr(LabellingRun, "save", die)
        with pytest.raises(KilledError):
            take_next_step(run.pk)
    run.refresh_from_db()
    assert (Classification.objects.filter(run=run).count(), run.total, run.from_features) == (2, 2, 2)
    assert [name for _, name in list_labels()].count(heads_only.name) == 2
    assert finish(run).from_features == 5


def test_a_cancelled_run_keeps_what_it_labelled(images: list[Image], heads_only: ModelVersion) -> None:
    PictureFeatures.objects.filter(sha256=held(images[1])).delete()
    run = start_labelling_run()
    assert cancel_labelling_run(run)
    run.refresh_from_db()
    progress = run.figures["progress"]
    assert (run.state, progress["total"], progress["done"], progress["cancelled"]) == ("cancelled", 2, 1, 1)


def test_a_message_does_all_steps_that_label_and_one_that_makes_tasks(
    images: list[Image], heads_only: ModelVersion, monkeypatch: pytest.MonkeyPatch
) -> None:
    outbox = Outbox()
    monkeypatch.setattr(take_pictures_task, "apply_async", outbox.apply_async)
    monkeypatch.setattr(tasks, "YIELD_SECONDS", 0.0)
    run = start_labelling_run()
    take_pictures_task(run.pk)
    run.refresh_from_db()
    assert (run.from_features, run.state, list(outbox)) == (5, "done", [])

    ModelVersion.objects.update(stage="retired")
    create_model_version()
    run = start_labelling_run()
    assert send_taking_runs() == 1
    assert send_taking_runs() == 0
    take_pictures_task(run.pk)
    run.refresh_from_db()
    assert (run.tasks.count(), list(outbox)) == (4, [run.pk] * 2)
    take_pictures_task(run.pk)
    assert (run.tasks.count(), list(outbox)) == (5, [run.pk] * 2)


def test_a_run_over_held_pictures_fills_in_features_and_moves_no_label(images: list[Image]) -> None:
    PictureFeatures.objects.filter(sha256=held(images[0])).delete()
    PictureFeatures.objects.filter(sha256=held(images[1])).update(logits=None)
    create_product(images=[create_painted_image()])  # not held
    before = list(ProductLabel.objects.order_by("pk").values()), LabelChange.objects.count()
    said = list(Classification.objects.order_by("pk").values())
    run = finish(start_labelling_run(features_only=True))
    assert sorted(run.tasks.values_list("image_id", flat=True)) == [images[0].pk, images[1].pk]
    label_due()
    run.refresh_from_db()
    assert (run.state, run.total, run.done) == ("done", 2, 2)
    assert PictureFeatures.objects.filter(logits__isnull=False).count() == 5
    assert list(Classification.objects.order_by("pk").values()) == said
    assert (list(ProductLabel.objects.order_by("pk").values()), LabelChange.objects.count()) == before
    # Nobody takes these pictures for labelled again, or for not labelled.
    assert finish(start_labelling_run(features_only=True)).total == 0
    assert finish(start_labelling_run()).total == 1


def test_the_call_says_what_was_labelled_from_features(heads_only: ModelVersion, client: Client) -> None:
    sign_in(client, "view_labellingrun", "add_labellingrun")
    run = client.post("/api/v1/labelling-runs/", {}, content_type="application/json").json()
    finish(LabellingRun.objects.get(pk=run["id"]))
    found = client.get(f"/api/v1/labelling-runs/{run['id']}/").json()
    assert (found["from_features"], found["features_only"], found["progress"]["done"]) == (5, False, 5)
    page = client.get(f"/labelling-runs/{run['id']}/").content.decode()
    assert "Labelled from features" in page
    both = {"relabel": True, "features_only": True}
    refused = client.post("/api/v1/labelling-runs/", both, content_type="application/json")
    assert (refused.status_code, list(refused.json()["errors"])) == (400, ["features_only"])
    looking = client.post("/api/v1/labelling-runs/", {"features_only": True}, content_type="application/json").json()
    finish(LabellingRun.objects.get(pk=looking["id"]))
    page = client.get(f"/labelling-runs/{looking['id']}/").content.decode()
    assert "Held, without features" in page
    assert "every picture that is held has features" in page

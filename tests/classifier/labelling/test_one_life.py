"""What a run leaves behind: its own figures for good, and nothing at all once it was cancelled."""

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from django.utils import timezone

from catalog.models import Image, ProductLabel, StoredPicture
from classifier.labelling.errors import ignore_errors, retry_errors
from classifier.labelling.ledger import Failed, Labelled, Outcome, claim_tasks, finish_tasks, give_back_lost_tasks
from classifier.labelling.runs import cancel_labelling_run, do_run_steps
from classifier.labelling.selectors import RunProgress, get_run_progress
from classifier.labelling.starting import start_labelling_run
from classifier.labels.services import Why, refresh_image_labels
from classifier.models import LabelChange, LabellingRun, LabelTask
from classifier.reviews.services import record_review
from tests.support.factories import create_image, create_product
from tests.support.fakes import build_outcome, create_model_version
from tests.support.members import create_member

pytestmark = pytest.mark.django_db
State = LabelTask.State

# What a first run may come to with a picture: the outcome, and what somebody does with the task then.
FATES: dict[str, tuple[Callable[[Image], Outcome], Callable[[LabelTask], object]]] = {
    "done": (lambda image: build_outcome(image, "Coat"), lambda task: None),
    "unsure": (lambda image: build_outcome(image, "Coat", abstained=True), lambda task: None),
    "failed": (lambda image: Failed("http_4xx"), lambda task: None),
    "ignored": (lambda image: Failed("not_image"), lambda task: ignore_errors([task.pk])),
    "retry": (lambda image: Failed("timeout", retryable=True), lambda task: None),
    "retried": (lambda image: Failed("http_4xx"), lambda task: retry_errors([task.pk])),
}


def find_tasks(run: LabellingRun) -> list[int]:
    return list(run.tasks.order_by("image_id").values_list("pk", flat=True))


def finish_all(run: LabellingRun, outcomes: dict[int, Outcome]) -> None:
    """Claim all tasks of a run, and finish them with the outcomes of their images."""
    batch = claim_tasks(find_tasks(run))
    assert {task.image_id for task in batch.tasks} == set(outcomes)
    finish_tasks(batch, [outcomes[task.image_id] for task in batch.tasks])


def label_of_every_fate() -> dict[str, int]:
    """Do a first run whose pictures come to every fate, each the first of a product; return images by fate."""
    create_model_version()
    images = {fate: create_image() for fate in FATES}
    for image in images.values():
        create_product(images=[image])
    run = start_labelling_run()
    finish_all(run, {images[fate].pk: build(images[fate]) for fate, (build, _) in FATES.items()})
    for fate, (_, decide) in FATES.items():
        decide(LabelTask.objects.get(image=images[fate]))
    LabelTask.objects.filter(last_failed_at__isnull=False).update(
        first_failed_at=timezone.now() - timedelta(days=365, microseconds=3)
    )
    return {fate: image.pk for fate, image in images.items()}


def list_facts() -> tuple[list[Any], ...]:
    """Every field of every task, label and run's figures, and the history of labels."""
    return (
        list(LabelTask.objects.order_by("pk").values()),
        list(ProductLabel.objects.order_by("pk").values()),
        list(LabelChange.objects.order_by("pk").values()),
        list(LabellingRun.objects.filter(state="done").order_by("pk").values()),
    )


def do_nothing(run: LabellingRun) -> None:
    pass


def claim_and_release(run: LabellingRun) -> None:
    """Let a worker die with the pictures in hand."""
    batch = claim_tasks(find_tasks(run))
    assert give_back_lost_tasks([task.pk for task in batch.tasks], by_own_fault=False) == len(batch.tasks)


def fail_for_now(run: LabellingRun) -> None:
    """Let every picture but one fail with an error that may pass."""
    batch = claim_tasks(find_tasks(run)[:-1])
    finish_tasks(batch, [Failed("http_5xx", retryable=True)] * len(batch.tasks))


@pytest.mark.parametrize("meanwhile", [do_nothing, claim_and_release, fail_for_now], ids=lambda do: do.__name__)
@pytest.mark.parametrize("relabel", [True, False], ids=["relabel", "missing"])
def test_a_cancelled_run_leaves_everything_as_if_it_had_never_been(
    relabel: bool, meanwhile: Callable[[LabellingRun], None]
) -> None:
    label_of_every_fate()
    before = list_facts()
    run = start_labelling_run(relabel=relabel)
    assert run.total == (5 if relabel else 2)
    meanwhile(run)
    assert cancel_labelling_run(run)
    do_run_steps(seconds=10)
    tasks, labels, changes, runs = list_facts()
    assert tasks == before[0]
    assert labels == before[1]
    assert runs == before[3]
    # While its failures stood, labels without any other evidence said so.
    assert [change["old_status"] for change in changes[len(before[2]) :]] == [
        "failed" for _ in changes[len(before[2]) :]
    ]
    run.refresh_from_db()
    assert (run.state, run.closing, run.figures["progress"]["cancelled"]) == ("cancelled", False, run.total)


def test_after_a_cancelled_relabelling_only_missing_takes_what_it_would_have_taken() -> None:
    images = label_of_every_fate()
    cancelled = start_labelling_run(relabel=True)
    fail_for_now(cancelled)
    cancel_labelling_run(cancelled)
    do_run_steps(seconds=10)
    missing = start_labelling_run()
    assert set(missing.tasks.values_list("image_id", flat=True)) == {images["retry"], images["retried"]}


def test_what_an_ended_run_left_to_be_tried_again_waits_on_after_a_run_that_took_it_was_cancelled() -> None:
    label_of_every_fate()
    relabelling = start_labelling_run(relabel=True)
    batch = claim_tasks(find_tasks(relabelling))
    finish_tasks(batch, [Failed("http_5xx", retryable=True)] * len(batch.tasks))
    before = list_facts()
    assert [row["state"] for row in before[3]] == ["done", "done"]
    cancelled = start_labelling_run()
    assert cancelled.total == 5
    cancel_labelling_run(cancelled)
    do_run_steps(seconds=10)
    assert list_facts() == before


def test_what_a_worker_had_in_hand_at_the_cancel_has_its_new_result() -> None:
    create_model_version()
    image = create_image()
    create_product(images=[image])
    finish_all(start_labelling_run(), {image.pk: build_outcome(image, "Coat")})
    run = start_labelling_run(relabel=True)
    batch = claim_tasks(find_tasks(run))
    cancel_labelling_run(run)
    finish_tasks(batch, [build_outcome(image, "Bag")])
    do_run_steps(seconds=10)
    run.refresh_from_db()
    assert (run.closing, get_run_progress(run).done, LabelTask.objects.get().run_id) == (False, 1, run.pk)
    assert ProductLabel.objects.get().garment == "Bag"


def test_a_run_cancelled_while_it_holds_what_another_cancelled_one_left_leaves_that_one_its_own() -> None:
    create_model_version()
    create_image()
    first = start_labelling_run()
    cancel_labelling_run(first)
    before = LabelTask.objects.values().get()
    second = start_labelling_run()
    cancel_labelling_run(second)
    assert (LabelTask.objects.values().get(), before["state"]) == (before, "cancelled")


def test_the_figures_of_a_run_that_has_ended_do_not_change_whatever_later_runs_and_tries_do() -> None:
    images = label_of_every_fate()
    run = LabellingRun.objects.get()
    own = get_run_progress(run)
    assert own == RunProgress(total=6, new=0, running=0, done=2, waiting=1, failed=3, cancelled=0)
    assert (run.done, run.failed, run.figures["unsure"]) == (2, 4, 1)
    before = LabellingRun.objects.values().get()
    # Pictures that it gave up are tried again in its own name, and the others by a later run.
    failed = LabelTask.objects.get(image=images["failed"])
    retry_errors([failed.pk])
    batch = claim_tasks([failed.pk])
    finish_tasks(batch, [build_outcome(Image.objects.get(pk=images["failed"]))])
    later = start_labelling_run(relabel=True)
    taken = Image.objects.filter(pk__in=later.tasks.values("image_id"))
    finish_all(later, {image.pk: build_outcome(image, "Bag") for image in taken})
    Image.objects.filter(pk=images["ignored"]).delete()
    assert LabellingRun.objects.filter(pk=run.pk).values().get() == before
    assert get_run_progress(LabellingRun.objects.get(pk=run.pk)) == own


def create_labelled_image() -> tuple[Image, Labelled]:
    """A picture that a run has labelled as a coat, the first of a product; return it with what is held of it."""
    image = create_image()
    create_product(images=[image])
    outcome = build_outcome(image, "Coat", sha256="a" * 64)
    finish_all(start_labelling_run(), {image.pk: outcome})
    return image, outcome


def replace_bytes(image: Image, sha256: str) -> None:
    """Hold other bytes of the image's address, as a host serves them by now."""
    StoredPicture.objects.filter(image=image).update(sha256=sha256)


def test_other_bytes_at_an_address_are_missing_for_the_next_run() -> None:
    create_model_version()
    image, _ = create_labelled_image()
    assert start_labelling_run().total == 0
    LabellingRun.objects.filter(total=0).update(state="done")
    replace_bytes(image, "b" * 64)
    run = start_labelling_run()
    assert list(run.tasks.values_list("image_id", "state")) == [(image.pk, State.NEW)]
    finish_all(run, {image.pk: build_outcome(image, "Bag", sha256="b" * 64)})
    assert ProductLabel.objects.get().garment == "Bag"
    # The bytes before are back: they were classified then.
    replace_bytes(image, "a" * 64)
    assert start_labelling_run().total == 0


def test_an_address_of_which_nothing_is_held_is_missing_for_the_next_run() -> None:
    create_model_version()
    image, _ = create_labelled_image()
    Image.objects.filter(pk=image.pk).update(url="https://shop.example/replaced.jpg")
    assert start_labelling_run().total == 1


@pytest.mark.parametrize("said", ["nothing", "by a version", "by a person"])
def test_a_label_is_pending_only_if_nothing_was_said_of_the_new_bytes(said: str) -> None:
    create_model_version()
    image, _ = create_labelled_image()
    other = create_image()
    # The same new bytes are known from another address, or not.
    if said == "by a person":
        finish_all(start_labelling_run(), {other.pk: build_outcome(other, "Bag", sha256="b" * 64)})
        record_review(Image.objects.get(pk=other.pk), group="Footwear", reviewer=create_member("add_review"))
    elif said == "by a version":
        run = start_labelling_run(images=Image.objects.filter(pk=image.pk), relabel=True)
        finish_all(run, {image.pk: build_outcome(image, "Bag", sha256="b" * 64)})
        replace_bytes(image, "a" * 64)
        refresh(image)
    assert ProductLabel.objects.get().garment == "Coat"
    replace_bytes(image, "b" * 64)
    refresh(image)
    label = ProductLabel.objects.get()
    expected = {
        "nothing": ("pending", ""),
        "by a version": ("labelled", "Bags"),
        "by a person": ("reviewed", "Footwear"),
    }
    assert (label.status, label.group) == expected[said]


def refresh(image: Image) -> None:
    """Bring the labels that show the image up to date, as whoever writes bytes does."""
    refresh_image_labels([image.pk], why=Why.PICTURE)


def test_a_run_over_a_selection_labels_it_to_its_end() -> None:
    create_model_version()
    images = [create_image() for _ in range(3)]
    run = start_labelling_run(images=Image.objects.filter(pk__in=[image.pk for image in images[1:]]))
    batch = claim_tasks(find_tasks(run))
    finish_tasks(batch, [build_outcome(task.image) for task in batch.tasks])
    run.refresh_from_db()
    assert (run.state, run.total, run.selection.count()) == ("done", 2, 0)

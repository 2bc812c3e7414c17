"""Starting a run: what it takes, what it leaves alone, and what happens when the broker is away."""

from datetime import timedelta

import pytest
import redis
from django.utils import timezone
from kombu.exceptions import OperationalError

from catalog.models import Image
from classifier.labelling import tasks
from classifier.labelling.batches import label_batch
from classifier.labelling.ledger import Failed, claim_tasks, finish_tasks
from classifier.labelling.selectors import get_run_progress, list_error_counts
from classifier.labelling.starting import start_labelling_run
from classifier.models import LabellingRun, LabelTask, ModelVersion
from classifier.registry.selectors import NoActiveModelVersionError
from classifier.worker.sweep import sweep
from tests.support.fakes import (
    FakeClassifier,
    Outbox,
    create_model_version,
    create_painted_image,
    create_stored_image,
)

pytestmark = [pytest.mark.django_db, pytest.mark.both_databases]
State = LabelTask.State


@pytest.fixture
def outbox(monkeypatch: pytest.MonkeyPatch) -> Outbox:
    outbox = Outbox()
    monkeypatch.setattr(tasks.label_batch_task, "apply_async", outbox.apply_async)
    monkeypatch.setattr(tasks, "count_messages", lambda queue: len(outbox))
    return outbox


def label_all_due() -> None:
    due = list(LabelTask.objects.due().values_list("pk", flat=True))
    label_batch(due, get_classifier=lambda _: FakeClassifier())


def test_a_run_without_an_active_version_is_refused_with_the_command_to_run() -> None:
    create_model_version(stage="candidate")
    with pytest.raises(NoActiveModelVersionError, match=r"manage\.py register_model_version"):
        start_labelling_run()
    assert not LabellingRun.objects.exists()


def test_messages_leave_when_the_rows_are_committed(
    outbox: Outbox, django_capture_on_commit_callbacks, settings
) -> None:
    settings.LABELLING_BATCH_SIZE = 2
    create_model_version()
    for _ in range(3):
        create_painted_image()
    with django_capture_on_commit_callbacks(execute=False) as callbacks:
        run = start_labelling_run()
        assert outbox == []
    for callback in callbacks:
        callback()
    ids = list(run.tasks.order_by("pk").values_list("pk", flat=True))
    assert outbox == [ids[:2], ids[2:]]
    assert run.total == 3


def test_the_first_labels_of_a_run_do_not_wait_for_a_whole_batch(
    outbox: Outbox, django_capture_on_commit_callbacks
) -> None:
    create_model_version()
    for _ in range(6):
        create_painted_image()
    with django_capture_on_commit_callbacks(execute=True):
        start_labelling_run()
    assert [len(batch) for batch in outbox] == [4, 2]


def test_a_second_run_takes_only_what_is_missing() -> None:
    create_model_version()
    create_painted_image()
    start_labelling_run()
    label_all_due()
    added = create_painted_image()
    run = start_labelling_run()
    assert list(run.tasks.values_list("image_id", flat=True)) == [added.pk]


def test_a_run_with_nothing_to_do_is_done_at_once(django_capture_on_commit_callbacks) -> None:
    create_model_version()
    with django_capture_on_commit_callbacks(execute=True):
        run = start_labelling_run()
    run.refresh_from_db()
    assert (run.state, run.total) == (LabellingRun.State.DONE, 0)
    assert run.finished_at is not None


def test_pictures_that_an_open_run_holds_are_left_to_it() -> None:
    create_model_version()
    create_painted_image()
    first = start_labelling_run()
    second = start_labelling_run(relabel=True)
    assert (first.tasks.count(), second.total) == (1, 0)


def test_relabel_takes_everything_again_with_fresh_counts() -> None:
    create_model_version()
    create_painted_image()
    create_stored_image(b"no picture")
    start_labelling_run()
    label_all_due()
    run = start_labelling_run(relabel=True)
    rows = run.tasks.values_list("state", "attempts", "crashes", "former__state")
    assert sorted(rows) == [(State.NEW, 0, 0, "done"), (State.NEW, 0, 0, "failed")]


def test_what_waits_for_another_try_is_tried_by_the_next_run_and_what_was_given_up_is_not() -> None:
    create_model_version()
    waiting, given_up = create_painted_image(), create_painted_image()
    start_labelling_run()
    finish_tasks(
        claim_tasks(list(LabelTask.objects.order_by("image_id").values_list("pk", flat=True))),
        [Failed("timeout", retryable=True), Failed("http_4xx")],
    )
    run = start_labelling_run()
    assert list(run.tasks.values_list("image_id", "state")) == [(waiting.pk, State.NEW)]
    assert LabelTask.objects.get(image=given_up).state == State.FAILED


def test_a_new_version_labels_what_the_old_one_did_and_both_rows_stay() -> None:
    create_model_version()
    create_painted_image()
    start_labelling_run()
    label_all_due()
    ModelVersion.objects.update(stage="retired")
    version = create_model_version()
    run = start_labelling_run()
    assert (run.total, run.model_version) == (1, version)
    assert LabelTask.objects.count() == 2


def test_limit_and_selection_bound_what_a_run_takes() -> None:
    create_model_version()
    images = [create_painted_image() for _ in range(4)]
    chosen = Image.objects.filter(pk__in=[image.pk for image in images[1:]])
    run = start_labelling_run(images=chosen, limit=2)
    assert sorted(run.tasks.values_list("image_id", flat=True)) == [images[1].pk, images[2].pk]
    label_all_due()
    again = start_labelling_run(images=chosen, relabel=True, limit=3)
    assert sorted(again.tasks.values_list("image_id", flat=True)) == [image.pk for image in images[1:]]


def test_the_same_key_starts_one_run() -> None:
    create_model_version()
    create_painted_image()
    first = start_labelling_run(idempotency_key="monday")
    assert start_labelling_run(idempotency_key="monday") == first
    assert LabellingRun.objects.count() == 1


def test_progress_and_errors_are_counts_by_state() -> None:
    create_model_version()
    create_painted_image()
    create_stored_image(b"no picture")
    create_stored_image(b"no picture either")
    run = start_labelling_run()
    label_all_due()
    create_painted_image()
    progress = get_run_progress(run)
    assert (progress.total, progress.done, progress.failed, progress.finished) == (3, 1, 2, 3)
    assert list_error_counts(run) == [("not_image", 2)]


@pytest.mark.parametrize(
    "error",
    [
        OperationalError("connection refused"),
        redis.exceptions.ResponseError("OOM command not allowed when used memory > 'maxmemory'"),
        redis.exceptions.ReadOnlyError("You can't write against a read only replica."),
    ],
    ids=["away", "full", "read-only"],
)
@pytest.mark.redis
def test_a_broker_that_is_down_loses_nothing(outbox: Outbox, monkeypatch: pytest.MonkeyPatch, error: Exception) -> None:
    create_model_version()
    create_painted_image()
    run = start_labelling_run()
    LabelTask.objects.update(sent_at=None)

    def refuse(*_arguments: object, **_options: object) -> None:
        raise error

    with monkeypatch.context() as broken:
        broken.setattr(tasks.label_batch_task, "apply_async", refuse)
        sweep()
    assert run.tasks.get().state == State.NEW

    LabelTask.objects.update(sent_at=timezone.now() - timedelta(seconds=31))
    sweep()
    assert outbox == [[run.tasks.get().pk]]


def test_a_broker_that_cannot_be_asked_leaves_the_rows_unsent(monkeypatch: pytest.MonkeyPatch) -> None:
    create_model_version()
    create_painted_image()
    run = start_labelling_run()

    def refuse(_queue: str) -> int:
        raise OperationalError("connection refused")

    monkeypatch.setattr(tasks, "count_messages", refuse)
    assert tasks.send_due_batches(maximum=5) == 0
    assert run.tasks.get().sent_at is None


def test_the_queue_is_kept_short(outbox: Outbox, settings) -> None:
    settings.LABELLING_BATCH_SIZE, settings.LABELLING_QUEUE_BATCHES = 1, 2
    create_model_version()
    for _ in range(4):
        create_painted_image()
    start_labelling_run()
    assert tasks.send_due_batches(maximum=10) == 2
    # However long the messages lie there, they are not sent again while they fill the queue.
    LabelTask.objects.filter(sent_at__isnull=False).update(sent_at=timezone.now() - timedelta(days=1))
    assert tasks.send_due_batches(maximum=10) == 0
    outbox.pop(0)
    assert tasks.send_due_batches(maximum=10) == 1


def test_what_an_emptied_queue_lost_is_sent_again_after_one_sweep(outbox: Outbox, settings) -> None:
    create_model_version()
    create_painted_image()
    run = start_labelling_run()
    tasks.send_due_batches(maximum=5)
    sent = run.tasks.get().sent_at
    outbox.clear()
    assert tasks.send_due_batches(maximum=5) == 0
    LabelTask.objects.update(sent_at=sent - timedelta(seconds=settings.LABELLING_SWEEP_SECONDS))
    assert tasks.send_due_batches(maximum=5) == 1
    assert outbox == [[run.tasks.get().pk]]


def test_the_sweep_closes_a_run_whose_last_worker_died_before_it_could() -> None:
    create_model_version()
    create_painted_image()
    run = start_labelling_run()
    LabelTask.objects.update(state=State.DONE)
    sweep()
    run.refresh_from_db()
    assert run.state == LabellingRun.State.DONE

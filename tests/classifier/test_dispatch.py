"""Starting a run: what it takes, what it leaves alone, and what happens when the broker is away."""

from datetime import timedelta

import pytest
from django.utils import timezone
from kombu.exceptions import OperationalError

from catalog.models import Image
from classifier import dispatch, tasks
from classifier.dispatch import start_labelling_run
from classifier.labelling import label_batch
from classifier.ledger import Failed, claim_tasks, finish_tasks
from classifier.models import LabellingRun, LabelTask, ModelVersion
from classifier.selectors import NoActiveModelVersionError, get_run_progress, list_error_counts
from tests.classifier.fakes import FakeClassifier, create_model_version, create_painted_image, create_stored_image

pytestmark = pytest.mark.django_db
State = LabelTask.State


class Outbox(list):
    """What was put on the queue, instead of the broker."""

    def apply_async(self, arguments: tuple, *, retry: bool) -> None:
        assert retry is False
        self.append(arguments[0])


@pytest.fixture
def outbox(monkeypatch: pytest.MonkeyPatch) -> Outbox:
    outbox = Outbox()
    monkeypatch.setattr(tasks.label_batch_task, "apply_async", outbox.apply_async)
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
    rows = run.tasks.values_list("state", "attempts", "error_code", "first_failed_at")
    assert sorted(rows) == [(State.NEW, 0, "", None)] * 2


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


def test_a_broker_that_is_down_loses_nothing(monkeypatch: pytest.MonkeyPatch, settings) -> None:
    create_model_version()
    create_painted_image()
    run = start_labelling_run()
    LabelTask.objects.update(sent_at=None)

    def refuse(*_arguments: object, **_options: object) -> None:
        raise OperationalError("connection refused")

    monkeypatch.setattr(tasks.label_batch_task, "apply_async", refuse)
    dispatch.sweep()
    assert run.tasks.get().state == State.NEW

    outbox = Outbox()
    monkeypatch.setattr(tasks.label_batch_task, "apply_async", outbox.apply_async)
    LabelTask.objects.update(sent_at=timezone.now() - timedelta(seconds=settings.LABELLING_RESEND_SECONDS + 1))
    dispatch.sweep()
    assert outbox == [[run.tasks.get().pk]]


def test_the_sweep_closes_a_run_whose_last_worker_died_before_it_could() -> None:
    create_model_version()
    create_painted_image()
    run = start_labelling_run()
    LabelTask.objects.update(state=State.DONE)
    dispatch.sweep()
    run.refresh_from_db()
    assert run.state == LabellingRun.State.DONE

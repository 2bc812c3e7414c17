"""Cancelling a run over more pictures than one step closes: nobody begins any of them after the cancel."""

import pytest
from django.db.models.functions import Now
from django.utils import timezone

from classifier.labelling import runs as labelling_runs
from classifier.labelling.errors import retry_errors
from classifier.labelling.ledger import Failed, claim_tasks, finish_tasks, release_tasks, take_batches_to_send
from classifier.labelling.runs import cancel_labelling_run, close_next_tasks, do_run_steps, take_next_step
from classifier.labelling.selectors import get_run_progress
from classifier.labelling.starting import start_labelling_run
from classifier.models import LabelTask
from classifier.worker.sweep import sweep
from tests.support.fakes import create_model_version, create_painted_image
from tests.support.small_steps import create_images, list_taken, small_steps  # noqa: F401 (a fixture)

pytestmark = [pytest.mark.django_db, pytest.mark.both_databases]
State = LabelTask.State


def test_nobody_begins_a_task_of_a_cancelled_run_even_before_it_is_closed() -> None:
    create_model_version()
    for _ in range(9):
        create_painted_image()
    run = start_labelling_run()
    take_next_step(run.pk)
    take_next_step(run.pk)
    task_ids = list(run.tasks.order_by("image_id").values_list("pk", flat=True))
    held = claim_tasks(task_ids[:1])
    assert cancel_labelling_run(run)
    run.refresh_from_db()
    assert (run.state, run.closing, run.is_taking, run.total) == ("cancelled", True, False, 6)
    # Two of five are closed; to whoever looks all are cancelled.
    assert run.tasks.filter(state=State.NEW).count() == 3
    counts = get_run_progress(run)
    assert (counts.new, counts.running, counts.waiting, counts.cancelled, counts.total) == (0, 1, 0, 5, 6)
    assert claim_tasks(task_ids).tasks == []
    assert take_batches_to_send(maximum=5, lost_after_seconds=0) == []
    assert not take_next_step(run.pk)
    assert do_run_steps(seconds=60) == 2
    run.refresh_from_db()
    assert (run.closing, run.tasks.filter(state=State.CANCELLED).count()) == (True, 5)
    # What was in hand is finished, and then nothing is left to close.
    assert finish_tasks(held, [Failed("http_4xx")]) == 1
    do_run_steps()
    run.refresh_from_db()
    assert (run.closing, run.tasks.filter(state=State.FAILED).count(), run.tasks.count()) == (False, 1, 6)
    assert not cancel_labelling_run(run)


@pytest.mark.parametrize("comes_back", ["released", "failed"])
def test_what_was_in_hand_at_the_cancel_and_comes_back_is_closed(comes_back: str) -> None:
    create_model_version()
    create_painted_image()
    run = start_labelling_run()
    task = run.tasks.get()
    held = claim_tasks([task.pk])
    cancel_labelling_run(run)
    if comes_back == "released":
        release_tasks(held)
    else:
        finish_tasks(held, [Failed("timeout", retryable=True)])
    LabelTask.objects.update(next_try_at=Now())
    assert claim_tasks([task.pk]).tasks == []
    sweep()
    task.refresh_from_db()
    run.refresh_from_db()
    assert (task.state, run.closing) == (State.CANCELLED, False)


def test_a_step_of_closing_that_is_killed_is_done_again(monkeypatch: pytest.MonkeyPatch) -> None:
    create_model_version()
    create_images(4)
    run = start_labelling_run()
    take_next_step(run.pk)

    def die(*_arguments: object, **_options: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as dying:
        dying.setattr(labelling_runs, "close_next_tasks", die)
        with pytest.raises(KeyboardInterrupt):
            cancel_labelling_run(run)
    run.refresh_from_db()
    assert (run.state, run.closing, run.tasks.filter(state=State.NEW).count()) == ("cancelled", True, 4)
    assert claim_tasks(list(run.tasks.values_list("pk", flat=True))).tasks == []
    assert [close_next_tasks(run.pk) for _ in range(3)] == [True, True, False]
    run.refresh_from_db()
    assert (run.closing, run.tasks.filter(state=State.CANCELLED).count()) == (False, 4)


def test_a_new_run_takes_what_a_cancelled_one_has_not_closed_yet() -> None:
    create_model_version()
    ids = create_images(6)
    run = start_labelling_run()
    take_next_step(run.pk)
    cancel_labelling_run(run)
    assert run.tasks.filter(state=State.NEW).count() == 2
    successor = start_labelling_run()
    do_run_steps(seconds=60)
    assert (list_taken(successor), list_taken(run)) == (ids, [])
    assert set(successor.tasks.values_list("state", flat=True)) == {State.NEW}
    run.refresh_from_db()
    assert not run.closing


def test_a_failure_of_a_run_that_is_closing_is_tried_again_when_that_is_through() -> None:
    create_model_version()
    create_images(3)
    run = start_labelling_run()
    take_next_step(run.pk)
    failed, held, _ = run.tasks.order_by("image_id")
    LabelTask.objects.filter(pk=failed.pk).update(state=State.FAILED, last_failed_at=timezone.now())
    in_hand = claim_tasks([held.pk])
    cancel_labelling_run(run)
    assert retry_errors([failed.pk]) == 0
    finish_tasks(in_hand, [Failed("http_4xx")])
    sweep()
    assert retry_errors([failed.pk]) == 1
    assert [task.pk for task in claim_tasks([failed.pk]).tasks] == [failed.pk]

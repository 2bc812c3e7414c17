"""Runs over more pictures than one step takes: each picture once, whatever is killed or cancelled in between."""

import threading
from collections.abc import Sequence
from typing import Any

import pytest
from django.core.management import call_command
from django.db import DatabaseError, connection
from django.test import Client

from catalog.models import Image
from classifier.labelling import runs as labelling_runs
from classifier.labelling import tasks
from classifier.labelling.batches import label_batch
from classifier.labelling.reports import forget_run_report
from classifier.labelling.runs import cancel_labelling_run, do_run_steps, take_next_step
from classifier.labelling.selectors import get_run_progress
from classifier.labelling.starting import start_labelling_run
from classifier.models import Classification, LabellingRun, LabelTask, SelectedImage
from classifier.worker.sweep import sweep
from tests.support.fakes import FakeClassifier, create_model_version, create_painted_image
from tests.support.members import sign_in
from tests.support.small_steps import create_images, list_taken, small_steps  # noqa: F401 (a fixture)

pytestmark = [pytest.mark.django_db, pytest.mark.both_databases]
State = LabelTask.State


def label(task_ids: Sequence[int]) -> None:
    label_batch(task_ids, get_classifier=lambda _: FakeClassifier())


def label_all_due() -> None:
    label(list(LabelTask.objects.due().values_list("pk", flat=True)))


def label_in_a_former_run(number: int) -> None:
    """Create a model version and so many pictures, which it has labelled."""
    create_model_version()
    for _ in range(number):
        create_painted_image()
    start_labelling_run()
    do_run_steps(seconds=60)
    label_all_due()


@pytest.mark.parametrize(
    "number, first, steps", [(1, 1, 0), (2, 2, 0), (3, 2, 1), (4, 2, 1), (5, 2, 2)], ids=lambda value: str(value)
)
def test_a_run_takes_each_picture_once_two_at_a_time(number: int, first: int, steps: int) -> None:
    create_model_version()
    ids = create_images(number)
    run = start_labelling_run()
    assert (list_taken(run), run.total, run.is_taking) == (ids[:first], first, steps > 0)
    done = 0
    while take_next_step(run.pk):
        done += 1
        run.refresh_from_db()
        assert list_taken(run) == ids[: first + 2 * done]
        assert run.total == min(number, first + 2 * done)
    assert (done, run.taken_until, run.takes_until, run.is_taking) == (steps, ids[-1], ids[-1], False)


def test_gaps_between_ids_and_pictures_that_came_later_are_no_matter() -> None:
    create_model_version()
    ids = create_images(7)
    Image.objects.filter(pk__in=[ids[1], ids[2], ids[5]]).delete()
    run = start_labelling_run()
    create_images(3)
    assert do_run_steps(seconds=60) == 1
    assert list_taken(run) == [ids[0], ids[3], ids[4], ids[6]]


def test_a_run_without_pictures_is_done_at_once(django_capture_on_commit_callbacks: Any) -> None:
    create_model_version()
    with django_capture_on_commit_callbacks(execute=True):
        run = start_labelling_run()
    run.refresh_from_db()
    assert (run.state, run.total) == ("done", 0)
    assert run.finished_at is not None


def test_a_run_that_finds_nothing_new_is_done_when_it_has_looked_at_the_last(
    django_capture_on_commit_callbacks: Any,
) -> None:
    label_in_a_former_run(5)
    with django_capture_on_commit_callbacks(execute=True):
        run = start_labelling_run()
    run.refresh_from_db()
    assert (run.state, run.is_taking) == ("running", True)
    assert do_run_steps(seconds=60) == 2
    run.refresh_from_db()
    assert (run.state, run.total, LabelTask.objects.count()) == ("done", 0, 5)


def test_a_step_that_is_killed_leaves_nothing_and_is_done_again(monkeypatch: pytest.MonkeyPatch) -> None:
    create_model_version()
    ids = create_images(6)
    run = start_labelling_run()
    take_next_step(run.pk)

    class KilledError(BaseException):
        """What ends the process after the rows were written and before they are committed."""

    def die(*_arguments: object, **_options: object) -> None:
        assert run.tasks.count() == 6
        raise KilledError

    with monkeypatch.context() as dying:
        dying.setattr(LabellingRun, "save", die)
        with pytest.raises(KilledError):
            do_run_steps()
    run.refresh_from_db()
    assert (list_taken(run), run.total, run.taken_until, run.is_taking) == (ids[:4], 4, ids[3], True)
    assert do_run_steps(seconds=60) == 1
    run.refresh_from_db()
    assert (list_taken(run), run.total, run.is_taking) == (ids, 6, False)


def test_a_step_that_the_database_refuses_is_done_at_the_next_sweep(monkeypatch: pytest.MonkeyPatch) -> None:
    create_model_version()
    ids = create_images(3)
    run = start_labelling_run()

    def refuse(*_arguments: object, **_options: object) -> None:
        raise DatabaseError("deadlock detected")

    with monkeypatch.context() as broken:
        broken.setattr(LabellingRun, "save", refuse)
        sweep()
    assert list_taken(run) == ids[:2]
    sweep()
    assert list_taken(run) == ids


def test_a_step_that_somebody_else_did_meanwhile_is_not_done_twice(monkeypatch: pytest.MonkeyPatch) -> None:
    create_model_version()
    ids = create_images(6)
    run = start_labelling_run()
    find = labelling_runs.find_next_step

    def overtake(run: LabellingRun) -> labelling_runs.Step:
        monkeypatch.setattr(labelling_runs, "find_next_step", find)
        step = find(run)
        assert take_next_step(run.pk)
        return step

    monkeypatch.setattr(labelling_runs, "find_next_step", overtake)
    assert not take_next_step(run.pk)
    run.refresh_from_db()
    assert (list_taken(run), run.total, run.taken_until) == (ids[:4], 4, ids[3])


@pytest.mark.postgresql
@pytest.mark.django_db(transaction=True)
def test_steps_by_many_at_once_take_each_picture_once() -> None:
    create_model_version()
    ids = create_images(60)
    run = start_labelling_run()
    barrier, done = threading.Barrier(4), []

    def take() -> None:
        try:
            barrier.wait(timeout=30)
            while LabellingRun.objects.taking().exists():
                done.append(take_next_step(run.pk))
        finally:
            connection.close()

    threads = [threading.Thread(target=take) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(timeout=60)
    run.refresh_from_db()
    assert (list_taken(run), run.total, sum(done)) == (ids, 60, 29)


def test_a_run_is_open_until_it_has_taken_and_labelled_all(django_capture_on_commit_callbacks: Any) -> None:
    create_model_version()
    for _ in range(3):
        create_painted_image()
    with django_capture_on_commit_callbacks(execute=True):
        run = start_labelling_run()
    label_all_due()
    run.refresh_from_db()
    assert (run.state, get_run_progress(run).done) == ("running", 2)
    sweep()
    run.refresh_from_db()
    assert (run.state, run.is_taking) == ("running", False)
    label_all_due()
    run.refresh_from_db()
    assert (run.state, get_run_progress(run).done) == ("done", 3)


def test_a_worker_takes_more_pictures_after_each_batch(monkeypatch: pytest.MonkeyPatch) -> None:
    create_model_version()
    for _ in range(5):
        create_painted_image()
    run = start_labelling_run()
    monkeypatch.setattr(tasks, "get_classifier", lambda _: FakeClassifier())
    monkeypatch.setattr(tasks, "count_messages", lambda _: 0)
    monkeypatch.setattr(tasks.label_batch_task, "apply_async", lambda *_arguments, **_options: None)
    tasks.label_batch_task(list(run.tasks.values_list("pk", flat=True)))
    states = list(run.tasks.order_by("image_id").values_list("state", flat=True))
    assert states == [State.DONE, State.DONE, State.NEW, State.NEW]
    assert run.tasks.filter(state=State.NEW, sent_at__isnull=False).count() == 2


@pytest.mark.parametrize("limit, taken", [(1, 1), (2, 2), (3, 3), (4, 4), (9, 5)])
def test_a_limit_holds_over_all_steps(limit: int, taken: int) -> None:
    create_model_version()
    ids = create_images(5)
    run = start_labelling_run(limit=limit)
    do_run_steps(seconds=60)
    run.refresh_from_db()
    assert (list_taken(run), run.total, run.is_taking) == (ids[:taken], taken, False)


def list_selected(run: LabellingRun) -> list[int]:
    return list(run.selection.order_by("image_id").values_list("image_id", flat=True))


def test_a_selection_is_rows_that_go_as_they_are_taken() -> None:
    create_model_version()
    ids = create_images(7)
    chosen = [ids[0], ids[2], ids[3], ids[5], ids[6]]
    run = start_labelling_run(images=Image.objects.filter(pk__in=chosen))
    assert (list_taken(run), list_selected(run)) == (chosen[:2], chosen[2:])
    assert take_next_step(run.pk)
    assert (list_taken(run), list_selected(run)) == (chosen[:4], chosen[4:])
    assert do_run_steps(seconds=60) == 1
    run.refresh_from_db()
    assert (list_taken(run), run.total, run.is_taking) == (chosen, 5, False)
    assert not SelectedImage.objects.exists()


def test_a_selection_of_a_run_that_is_cancelled_or_reaches_its_limit_goes_with_the_rest_of_it() -> None:
    create_model_version()
    ids = create_images(7)
    cancelled = start_labelling_run(images=Image.objects.filter(pk__in=ids))
    limited = start_labelling_run(images=Image.objects.filter(pk__in=ids), limit=3)
    cancel_labelling_run(cancelled)
    do_run_steps(seconds=60)
    limited.refresh_from_db()
    assert (limited.total, limited.is_taking) == (3, False)
    assert not SelectedImage.objects.exists()


def test_a_chosen_picture_that_is_deleted_meanwhile_is_left_out() -> None:
    create_model_version()
    ids = create_images(7)
    run = start_labelling_run(images=Image.objects.filter(pk__in=ids))
    Image.objects.filter(pk__in=[ids[3], ids[4], ids[5]]).delete()
    assert do_run_steps(seconds=60) == 3
    run.refresh_from_db()
    assert (list_taken(run), run.total, run.is_taking) == ([*ids[:3], ids[6]], 4, False)


def test_a_selection_that_one_step_takes_is_not_kept() -> None:
    create_model_version()
    ids = create_images(4)
    run = start_labelling_run(images=Image.objects.filter(pk=ids[2]))
    assert (list_taken(run), run.is_taking, SelectedImage.objects.exists()) == ([ids[2]], False, False)
    assert start_labelling_run(images=Image.objects.none()).total == 0


def test_relabelling_takes_everything_again_and_again_only_once() -> None:
    create_model_version()
    images = [create_painted_image() for _ in range(5)]
    start_labelling_run()
    do_run_steps(seconds=60)
    label_all_due()
    run = start_labelling_run(relabel=True)
    # What the run itself has done by then is not taken a second time.
    label_all_due()
    do_run_steps(seconds=60)
    run.refresh_from_db()
    assert (list_taken(run), run.total) == ([image.pk for image in images], 5)
    label_all_due()
    run.refresh_from_db()
    assert (run.state, Classification.objects.filter(run=run).count(), Classification.objects.count()) == (
        "done",
        5,
        10,
    )


def test_a_second_run_leaves_to_the_first_what_it_has_and_both_take_everything_together() -> None:
    create_model_version()
    ids = create_images(6)
    first, second = start_labelling_run(), start_labelling_run()
    assert (first.total, second.total) == (2, 0)
    # The first one's steps come before the second one's.
    assert do_run_steps(seconds=60) == 4
    first.refresh_from_db()
    second.refresh_from_db()
    assert (list_taken(first), second.total, second.is_taking) == (ids, 0, False)
    assert second.state == "done"


def test_the_same_key_finds_the_run_that_is_still_taking_and_takes_nothing_itself() -> None:
    create_model_version()
    ids = create_images(5)
    run = start_labelling_run(idempotency_key="monday")
    assert start_labelling_run(idempotency_key="monday") == run
    assert (LabellingRun.objects.count(), list_taken(run)) == (1, ids[:2])
    do_run_steps(seconds=60)
    assert start_labelling_run(idempotency_key="monday").total == 5
    assert LabelTask.objects.count() == 5


def test_the_api_says_that_there_will_be_more_and_cancels_at_once(client: Client) -> None:
    create_model_version()
    create_images(7)
    sign_in(client, "add_labellingrun", "view_labellingrun", "change_labellingrun")
    answer = client.post("/api/v1/labelling-runs/", {}, content_type="application/json")
    assert (answer.status_code, answer.json()["state"], answer.json()["taking_pictures"]) == (202, "running", True)
    assert (answer.json()["progress"]["total"], answer.json()["progress"]["new"]) == (2, 2)
    address = answer.headers["Location"]
    do_run_steps()
    forget_run_report(LabellingRun.objects.get())
    body = client.get(address).json()
    assert (body["taking_pictures"], body["progress"]["total"]) == (True, 4)
    body = client.post(f"{address}cancel/").json()
    assert (body["state"], body["taking_pictures"]) == ("cancelled", False)
    assert (body["progress"]["new"], body["progress"]["cancelled"], body["progress"]["total"]) == (0, 4, 4)


def test_the_pages_say_that_there_will_be_more(client: Client) -> None:
    create_model_version()
    ids = create_images(5)
    sign_in(client, "view_labellingrun")
    run = start_labelling_run()
    page = " ".join(client.get(f"/labelling-runs/{run.pk}/").text.split())
    assert f"it has looked at those up to {ids[1]:,} of {ids[4]:,}" in page
    assert "0 of 2 so far" in page
    assert "<dt>Time left</dt>" not in page
    assert "2 so far" in client.get("/labelling-runs/").text
    do_run_steps(seconds=60)
    page = client.get(f"/labelling-runs/{run.pk}/")
    assert (page.context["finished"], page.context["share"]) == ("0 of 5", 0.0)
    assert "so far" not in page.text
    assert "so far" not in client.get("/labelling-runs/").text


def test_a_run_that_has_found_nothing_yet_does_not_say_that_there_was_nothing(client: Client) -> None:
    label_in_a_former_run(3)
    sign_in(client, "view_labellingrun")
    run = start_labelling_run()
    page = client.get(f"/labelling-runs/{run.pk}/").text
    assert ("still takes its pictures" in page, "There was nothing to label" in page) == (True, False)
    do_run_steps(seconds=60)
    page = client.get(f"/labelling-runs/{run.pk}/").text
    assert ("still takes its pictures" in page, "There was nothing to label" in page) == (False, True)


def test_a_command_that_waits_takes_the_pictures_and_sees_the_run_to_its_end(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    create_model_version()
    for _ in range(7):
        create_painted_image()

    def work(arguments: tuple[list[int]], *, retry: bool) -> None:
        label(arguments[0])

    monkeypatch.setattr(tasks, "count_messages", lambda _: 0)
    monkeypatch.setattr(tasks.label_batch_task, "apply_async", work)
    call_command("label_catalog", "--wait")
    assert "is done: 7 pictures, 7 labelled, 0 failed" in capsys.readouterr().out
    assert Classification.objects.count() == 7

"""How far a labelling run is, and what it costs to know."""

import io
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from django.core.cache import cache
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from classifier.labelling import reports as run_reports
from classifier.labelling.batches import label_batch
from classifier.labelling.ledger import claim_tasks
from classifier.labelling.reports import find_rate, forget_run_report, get_run_report
from classifier.labelling.starting import start_labelling_run
from classifier.management.progress import WorkerEndedError, wait_for_run
from classifier.models import Classification, LabellingRun, LabelTask
from config import cached_counts
from config.console import ProgressReport
from tests.support.fakes import FakeClassifier, create_model_version, create_painted_image, create_stored_image
from tests.support.members import sign_in

pytestmark = pytest.mark.django_db
LONG_AGO = timedelta(hours=1)


def work_on(run: LabellingRun, *, at_most: int = 1000) -> None:
    """Label tasks of the run, as a worker would."""
    due = list(LabelTask.objects.due().filter(run=run).order_by("pk").values_list("pk", flat=True)[:at_most])
    label_batch(due, get_classifier=lambda _: FakeClassifier())
    run.refresh_from_db()


def start_run_of_long_ago() -> LabellingRun:
    """Start a run over the pictures that are there, and set its beginning back."""
    run = start_labelling_run()
    LabellingRun.objects.filter(pk=run.pk).update(created_at=timezone.now() - LONG_AGO)
    run.refresh_from_db()
    return run


def get_new_report(run: LabellingRun) -> run_reports.RunReport:
    forget_run_report(run)
    return get_run_report(run)


def test_a_report_counts_what_was_labelled_unsure_and_failed() -> None:
    create_model_version()
    create_painted_image("Bag")
    create_painted_image("Bag", unsure=True)
    broken = create_stored_image(b"not a picture")
    create_painted_image("Shirt")
    run = start_labelling_run()
    work_on(run, at_most=3)
    report = get_run_report(run)
    progress = report.progress
    assert (progress.total, progress.done, progress.failed, progress.new, report.unsure) == (4, 2, 1, 1, 1)
    assert report.codes == [("not_image", 1)]
    task = LabelTask.objects.get(image=broken)
    assert report.errors == [{"task": task.pk, "image": broken.pk, "code": "not_image", "url": broken.url}]


def test_a_count_from_before_an_update_is_not_shown() -> None:
    create_model_version()
    create_painted_image("Bag")
    run = start_labelling_run()
    former = {"value": {"state": "running", "samples": []}, "fresh_until": timezone.now().timestamp() + 60}
    cache.set(f"labelling-run-{run.pk}", former, 60)
    assert get_run_report(run).progress.total == 1


def test_however_many_watch_it_is_counted_once_in_two_seconds(
    django_assert_num_queries: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = 1_800_000_000.0
    monkeypatch.setattr(cached_counts, "time", lambda: now)
    create_model_version()
    create_painted_image()
    run = start_labelling_run()
    with django_assert_num_queries(5):  # one of them for the pace of hosts
        first = get_run_report(run)
    LabelTask.objects.update(state=LabelTask.State.FAILED)
    with django_assert_num_queries(0):
        assert get_run_report(run) == first
    now += 3
    with django_assert_num_queries(7):  # the failures as well
        assert get_run_report(run).progress.failed == 1


@pytest.mark.parametrize("took, shown", [(0.2, 8), (3.0, 10)])
def test_a_count_that_took_long_is_shown_for_longer(took: float, shown: int, monkeypatch: pytest.MonkeyPatch) -> None:
    now, clock = 1_800_000_000.0, iter([0.0, took, 5.0, 5.5])
    monkeypatch.setattr(cached_counts, "time", lambda: now)
    monkeypatch.setattr(cached_counts, "monotonic", lambda: next(clock))
    create_model_version()
    create_painted_image()
    run = start_labelling_run()
    get_run_report(run)
    LabelTask.objects.update(state=LabelTask.State.FAILED)
    now += shown - 1
    assert get_run_report(run).progress.failed == 0
    now += 2
    assert get_run_report(run).progress.failed == 1


def test_while_one_viewer_counts_the_others_see_the_count_before(
    django_assert_num_queries: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = 1_800_000_000.0
    monkeypatch.setattr(cached_counts, "time", lambda: now)
    create_model_version()
    create_painted_image()
    run = start_labelling_run()
    first = get_run_report(run)
    now += 3
    cache.add(f"labelling-run-{run.pk}-counting", 1, 30)
    with django_assert_num_queries(0):
        assert get_run_report(run) == first


def test_a_run_that_ended_is_not_shown_as_it_was_before() -> None:
    create_model_version()
    create_painted_image()
    run = start_labelling_run()
    assert get_run_report(run).progress.new == 1
    work_on(run)
    assert (run.state, get_run_report(run).progress.done) == ("done", 1)


@pytest.mark.parametrize(
    "samples, age, finished, rate",
    [
        ([], 10.0, 0, None),
        ([], 10.0, 30, 3.0),
        ([[100.0, 50]], 10.0, 30, 3.0),  # one sample is no pace
        ([[100.0, 50], [104.0, 90]], 10.0, 30, 3.0),  # nor are two close ones
        ([[100.0, 50], [110.0, 90]], 1000.0, 90, 4.0),
        ([[0.0, 0], [100.0, 50], [160.0, 110]], 1000.0, 110, 1.0),  # of the last minute only
        ([[100.0, 50], [110.0, 50]], 1000.0, 50, None),  # nothing goes on
        ([[100.0, 50], [110.0, 20]], 1000.0, 20, None),  # failures were taken back to work
    ],
)
def test_the_rate_is_that_of_the_last_minute(
    samples: list[list[float]], age: float, finished: int, rate: float | None
) -> None:
    assert find_rate(samples, age_seconds=age, finished=finished) == rate


def test_the_time_left_follows_from_the_rate(monkeypatch: pytest.MonkeyPatch) -> None:
    now = 1_800_000_000.0
    for module in (cached_counts, run_reports):
        monkeypatch.setattr(module, "time", lambda: now)
    create_model_version()
    for _ in range(10):
        create_painted_image()
    run = start_labelling_run()
    report = get_run_report(run)
    assert (report.rate, report.seconds_left) == (None, None)
    work_on(run, at_most=4)
    now += 8
    report = get_run_report(run)
    assert (report.rate, report.seconds_left) == (0.5, 12.0)


def test_a_run_of_which_nothing_moves_for_minutes_has_stalled() -> None:
    create_model_version()
    create_painted_image()
    create_painted_image()
    assert not get_run_report(start_labelling_run()).stalled
    run = LabellingRun.objects.get()
    LabellingRun.objects.update(created_at=timezone.now() - LONG_AGO)
    run.refresh_from_db()
    report = get_new_report(run)
    assert (report.stalled, report.ahead) == (True, None)


def test_work_in_hand_a_new_label_and_a_new_failure_are_signs_of_life() -> None:
    create_model_version()
    for _ in range(3):
        create_painted_image()
    run = start_run_of_long_ago()
    claim_tasks([LabelTask.objects.earliest("pk").pk])
    assert not get_new_report(run).stalled
    LabelTask.objects.filter(state="running").update(lease_until=timezone.now() - LONG_AGO)
    assert get_new_report(run).stalled
    work_on(run, at_most=1)
    assert not get_new_report(run).stalled
    Classification.objects.update(created_at=timezone.now() - LONG_AGO)
    assert get_new_report(run).stalled
    LabelTask.objects.filter(state="new").update(state="failed", last_failed_at=timezone.now())
    assert not get_new_report(run).stalled


def test_a_run_behind_another_one_waits_for_it() -> None:
    create_model_version()
    create_painted_image()
    first = start_run_of_long_ago()
    create_painted_image()
    second = start_run_of_long_ago()
    assert (get_run_report(second).stalled, get_run_report(second).ahead) == (True, first.pk)
    assert get_run_report(first).ahead is None


def test_without_a_cache_each_report_is_counted(settings: Any) -> None:
    settings.CACHES = {"default": {"BACKEND": "django.core.cache.backends.dummy.DummyCache"}}
    create_model_version()
    create_painted_image()
    run = start_labelling_run()
    assert get_run_report(run).progress.new == 1
    LabelTask.objects.update(state=LabelTask.State.DONE)
    assert get_run_report(run).progress.done == 1


def look_at_page(client: Client, run: LabellingRun) -> None:
    assert client.get(f"/labelling-runs/{run.pk}/").context["report"].progress.new == 1


def ask_api(client: Client, run: LabellingRun) -> None:
    answer = client.get(f"/api/v1/labelling-runs/{run.pk}/").json()
    assert (answer["progress"]["new"], answer["error_codes"]) == (1, {"not_image": 1})


def wait_with_command(_client: Client, run: LabellingRun) -> None:
    polls = iter([True] * 9 + [False])
    quiet = ProgressReport(io.StringIO(), title="Labelling", unit="pictures", enabled=False)
    with pytest.raises(WorkerEndedError):
        wait_for_run(run, report=quiet, is_alive=lambda: next(polls), poll_seconds=0)


@pytest.mark.parametrize("watch", [look_at_page, ask_api, wait_with_command], ids=lambda watch: watch.__name__)
def test_who_watches_does_not_count_the_ledger_more_often_than_a_report_is_kept(
    client: Client, monkeypatch: pytest.MonkeyPatch, watch: Callable[[Client, LabellingRun], None]
) -> None:
    monkeypatch.setattr(cached_counts, "time", lambda: 1_800_000_000.0)
    create_model_version()
    create_stored_image(b"not a picture")
    create_painted_image()
    run = start_labelling_run()
    work_on(run, at_most=1)
    sign_in(client, "view_labellingrun")
    with CaptureQueriesContext(connection) as captured:
        for _ in range(3):
            watch(client, run)
    reads = [query["sql"] for query in captured if 'FROM "classifier_labeltask"' in query["sql"]]
    # Tasks by state, errors by code, the latest ones and how many, what is waited for: each once.
    assert len(reads) == 5

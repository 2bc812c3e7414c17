"""The sign of life of a training, which does not depend on its progress."""

import time
from collections.abc import Callable
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from django.db import OperationalError, connection
from django.db.models import QuerySet
from django.utils import timezone

from classifier.ml import pipeline
from classifier.ml.types import TrainingProgress
from classifier.models import ModelVersion, TrainingRun
from classifier.training import runs as training_runs
from classifier.training.heartbeat import TrainingHeartbeat
from classifier.training.runs import abandon_dead_training_runs, claim_training_run, run_training
from classifier.training.starting import start_training_run

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.both_databases]
State = TrainingRun.State
LONG_AGO = timedelta(hours=1)


@pytest.fixture(autouse=True)
def quick_heartbeat(settings: Any, tmp_path: Path) -> None:
    """Beats follow each other at once; what counts as dead is decided by the tests' own times."""
    settings.ARTEFACTS_DIR = tmp_path / "artefacts"
    settings.TRAINING_HEARTBEAT_SECONDS = 0.06


@pytest.fixture
def run() -> TrainingRun:
    """A running training."""
    claimed = claim_training_run(start_training_run(recipe="default", seed=1).pk)
    assert claimed is not None
    return claimed


def wait_until(condition: Callable[[], Any]) -> Any:
    deadline = time.monotonic() + 60
    while not (result := condition()):
        assert time.monotonic() < deadline
        time.sleep(0.01)
    return result


def set_back(run: TrainingRun) -> datetime:
    """Give the run a heartbeat of long ago, and return it."""
    beaten_at = timezone.now() - LONG_AGO
    TrainingRun.objects.filter(pk=run.pk).update(heartbeat_at=beaten_at)
    return beaten_at


def find_heartbeat(run: TrainingRun) -> datetime:
    beaten_at = TrainingRun.objects.get(pk=run.pk).heartbeat_at
    assert beaten_at is not None
    return beaten_at


def test_a_silent_training_is_kept_alive(settings: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    run = start_training_run(recipe="default", seed=1)
    abandoned = []

    def train_in_silence(*_arguments: object, progress: Callable[[TrainingProgress], None], **_options: object) -> None:
        for _ in range(3):
            set_back_at = set_back(run)
            wait_until(lambda before=set_back_at: find_heartbeat(run) > before)
            settings.TRAINING_HEARTBEAT_SECONDS = 120
            abandoned.append(abandon_dead_training_runs())
        raise OSError("the end of the silence")

    monkeypatch.setattr(pipeline, "train", train_in_silence)
    ended = run_training(run.pk)
    assert ended is not None
    assert (ended.state, ended.error, abandoned) == (State.FAILED, "OSError: the end of the silence", [0, 0, 0])


def count_connections() -> int:
    """Count the clients of the test's database; the server's own workers look at it as well now and then."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_stat_clear_snapshot()")
        cursor.execute(
            "SELECT count(*) FROM pg_stat_activity "
            "WHERE datname = current_database() AND backend_type = 'client backend'"
        )
        return int(cursor.fetchone()[0])


def test_the_thread_ends_with_the_training_and_leaves_no_connection(run: TrainingRun) -> None:
    with TrainingHeartbeat(run) as heartbeat:
        set_back_at = set_back(run)
        wait_until(lambda: find_heartbeat(run) > set_back_at)
    assert not heartbeat._thread.is_alive()
    if connection.vendor == "postgresql":
        # The server's process for a closed connection ends a moment later.
        wait_until(lambda: count_connections() == 1)
    set_back_at = set_back(run)
    assert find_heartbeat(run) == set_back_at


def test_a_run_that_was_given_up_gets_no_more_beats_and_ends_at_its_next_progress(
    run: TrainingRun, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(training_runs, "PROGRESS_SECONDS", 0.0)
    TrainingRun.objects.update(state=State.ABANDONED)
    set_back_at = set_back(run)
    with TrainingHeartbeat(run) as heartbeat:
        wait_until(lambda: not heartbeat._thread.is_alive())
        assert find_heartbeat(run) == set_back_at
        with pytest.raises(training_runs.TrainingStoppedError):
            training_runs._RowReporter(heartbeat, lambda _progress: None).report(
                TrainingProgress("train", 1, 2, 1, 4, {})
            )
    assert TrainingRun.objects.get().progress == {}
    assert not ModelVersion.objects.exists()


def test_a_process_that_lives_and_does_nothing_is_given_up(run: TrainingRun, settings: Any) -> None:
    settings.TRAINING_SILENCE_SECONDS = -1
    set_back_at = set_back(run)
    with TrainingHeartbeat(run) as heartbeat:
        wait_until(lambda: not heartbeat._thread.is_alive())
    assert find_heartbeat(run) == set_back_at
    settings.TRAINING_HEARTBEAT_SECONDS = 120
    assert abandon_dead_training_runs() == 1
    assert TrainingRun.objects.get().state == State.ABANDONED


def test_progress_counts_as_work(run: TrainingRun, settings: Any) -> None:
    heartbeat = TrainingHeartbeat(run)
    heartbeat.progressed_at -= 7200
    training_runs._RowReporter(heartbeat, lambda _progress: None).report(TrainingProgress("load", 0, 0, 0, 0, {}))
    assert time.monotonic() - heartbeat.progressed_at < settings.TRAINING_SILENCE_SECONDS


def test_a_database_that_refuses_a_beat_is_asked_again(run: TrainingRun, monkeypatch: pytest.MonkeyPatch) -> None:
    update, refused = QuerySet.update, []

    def refuse_twice(self: QuerySet[Any], **fields: Any) -> int:
        if set(fields) == {"heartbeat_at"} and len(refused) < 2:
            refused.append(fields)
            raise OperationalError("database is locked")
        return update(self, **fields)

    set_back_at = set_back(run)
    monkeypatch.setattr(QuerySet, "update", refuse_twice)
    with TrainingHeartbeat(run):
        wait_until(lambda: find_heartbeat(run) > set_back_at)
    assert len(refused) == 2

"""Trainings asked for through a row."""

from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from types import SimpleNamespace

import pytest
from django.db import IntegrityError, OperationalError, transaction
from django.utils import timezone

from classifier.ml import pipeline
from classifier.ml.artefacts import DEFAULT_ARTEFACT, load_manifest
from classifier.ml.types import TrainingProgress
from classifier.models import ModelVersion, TrainingRun
from classifier.registry.services import record_model_version
from classifier.training import runs as training_runs
from classifier.training.runs import cancel_training_run, claim_training_run, run_training
from classifier.training.starting import start_training_run
from classifier.training.tasks import send_queued_training, train_task
from classifier.worker.sweep import sweep

pytestmark = [pytest.mark.django_db, pytest.mark.both_databases]
State = TrainingRun.State


@pytest.fixture(autouse=True)
def artefacts_folder(settings, tmp_path: Path) -> Path:
    settings.ARTEFACTS_DIR = tmp_path / "artefacts"
    return tmp_path / "artefacts"


@pytest.fixture
def fake_training(monkeypatch: pytest.MonkeyPatch) -> list[pipeline.TrainingRequest]:
    """Instead of training, report two epochs and hand out the shipped artefact; the requests that came."""
    requests: list[pipeline.TrainingRequest] = []

    def train(
        request: pipeline.TrainingRequest, *, output_dir: Path, progress: Callable, **_rest: object
    ) -> SimpleNamespace:
        requests.append(request)
        for epoch in (1, 2):
            for step in range(4):
                progress(TrainingProgress("train", epoch, 2, step + 1, 4, {"loss": 1.0 / epoch}))
        return SimpleNamespace(folder=DEFAULT_ARTEFACT, manifest=load_manifest(DEFAULT_ARTEFACT))

    monkeypatch.setattr(pipeline, "train", train)
    return requests


def start(**options: object) -> TrainingRun:
    return start_training_run(recipe="default", seed=7, **options)


def test_a_run_ends_with_a_candidate_version_and_its_history(fake_training: list) -> None:
    run = run_training(start(epochs=2, limit=500).pk)
    assert (run.state, run.error) == (State.DONE, "")
    assert run.model_version.stage == ModelVersion.Stage.CANDIDATE
    assert run.progress["history"] == [{"epoch": 1, "loss": 1.0}, {"epoch": 2, "loss": 0.5}]
    assert run.started_at <= run.heartbeat_at <= run.finished_at
    request = fake_training[0]
    assert (request.recipe.name, request.seed, request.epochs, request.limit) == ("default", 7, 2, 500)
    assert request.command == (
        "manage.py train_classifier --recipe default --seed 7 --backbone-weights imagenet --epochs 2 --limit 500"
    )


def test_a_machine_without_weights_trains_from_none_and_says_so(fake_training: list, settings) -> None:
    settings.BACKBONE_WEIGHTS = "none"
    run_training(start().pk)
    assert fake_training[0].backbone_weights == "none"
    assert "--backbone-weights none" in fake_training[0].command


def test_a_run_activates_its_version_when_asked_to(fake_training: list) -> None:
    assert run_training(start(activate=True).pk).model_version.stage == ModelVersion.Stage.PRODUCTION


def test_a_head_on_random_weights_that_was_queued_before_fails_in_words(fake_training: list) -> None:
    run = run_training(start_training_run(recipe="frozen", seed=1, backbone_weights="none").pk)
    assert run.state == State.FAILED
    assert "The recipe frozen trains a head alone" in run.error
    assert fake_training == []


def test_the_same_message_twice_trains_once(fake_training: list) -> None:
    run = start()
    assert run_training(run.pk) is not None
    assert run_training(run.pk) is None
    assert len(fake_training) == 1


def test_one_training_at_a_time_and_the_next_one_waits(fake_training: list) -> None:
    first, second = start(), start()
    assert claim_training_run(first.pk) == first
    assert claim_training_run(second.pk) is None
    assert not send_queued_training()
    second.refresh_from_db()
    assert second.state == State.QUEUED


def test_a_queued_training_is_one_message_until_that_counts_as_lost(monkeypatch: pytest.MonkeyPatch, settings) -> None:
    sent: list[int] = []
    monkeypatch.setattr(train_task, "apply_async", lambda arguments, *, retry: sent.append(arguments[0]))
    run = start()
    sweep()
    sweep()
    assert sent == [run.pk]
    lost = timezone.now() - timedelta(seconds=settings.LABELLING_RESEND_SECONDS + 1)
    TrainingRun.objects.update(sent_at=lost)
    sweep()
    assert sent == [run.pk, run.pk]


def test_the_database_allows_one_running_training() -> None:
    claim_training_run(start().pk)
    with pytest.raises(IntegrityError), transaction.atomic():
        TrainingRun.objects.create(recipe="default", seed=1, state=State.RUNNING)


def test_a_failure_ends_on_the_row_and_registers_nothing(
    monkeypatch: pytest.MonkeyPatch, artefacts_folder: Path
) -> None:
    def train(*_arguments: object, **_options: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(pipeline, "train", train)
    run = run_training(start().pk)
    assert run.state == State.FAILED
    assert "No space left on device" in run.error
    assert not ModelVersion.objects.exists()
    assert list(artefacts_folder.iterdir()) == []


@pytest.mark.django_db(transaction=True)
def test_an_artefact_that_another_training_registered_fails_the_run(fake_training: list) -> None:
    # The fake trains the same artefact twice, down to its time.
    first, second = run_training(start().pk), run_training(start().pk)
    assert (first.state, second.state) == (State.DONE, State.FAILED)
    assert "IntegrityError" in second.error
    assert ModelVersion.objects.get().training_run == first


def test_an_unknown_recipe_fails_with_the_known_names() -> None:
    run = run_training(start_training_run(recipe="nothing", seed=1).pk)
    assert run.state == State.FAILED
    assert "default" in run.error
    assert "'nothing'" in run.error


def test_a_queued_run_is_cancelled_at_once_and_never_trained(fake_training: list) -> None:
    run = start()
    assert cancel_training_run(run)
    assert run_training(run.pk) is None
    assert (TrainingRun.objects.get().state, fake_training) == (State.CANCELLED, [])


def test_a_running_run_stops_at_its_next_step(monkeypatch: pytest.MonkeyPatch, fake_training: list) -> None:
    monkeypatch.setattr(training_runs, "PROGRESS_SECONDS", 0.0)
    run = start()
    claim = training_runs.claim_training_run

    def claim_and_cancel(pk: int) -> TrainingRun | None:
        claimed = claim(pk)
        assert claimed is not None
        assert cancel_training_run(claimed)
        return claimed

    monkeypatch.setattr(training_runs, "claim_training_run", claim_and_cancel)
    assert run_training(run.pk).state == State.CANCELLED
    assert not ModelVersion.objects.exists()
    assert not cancel_training_run(run)


def test_a_training_whose_worker_died_is_abandoned_and_the_next_is_sent(
    monkeypatch: pytest.MonkeyPatch, settings
) -> None:
    sent: list[int] = []
    monkeypatch.setattr(train_task, "apply_async", lambda arguments, *, retry: sent.append(arguments[0]))
    dead, waiting = start(), start()
    claim_training_run(dead.pk)
    sweep()
    assert sent == []
    TrainingRun.objects.filter(pk=dead.pk).update(
        heartbeat_at=timezone.now() - timedelta(seconds=settings.TRAINING_HEARTBEAT_SECONDS + 1)
    )
    sweep()
    assert sent == [waiting.pk]
    dead.refresh_from_db()
    assert dead.state == State.ABANDONED


def test_a_run_given_up_as_dead_registers_nothing_when_it_comes_back(
    monkeypatch: pytest.MonkeyPatch, fake_training: list
) -> None:
    run = start()
    monkeypatch.setattr(training_runs, "PROGRESS_SECONDS", 3600.0)
    report = training_runs._RowReporter.report

    def abandon_meanwhile(self: object, progress: TrainingProgress) -> None:
        TrainingRun.objects.update(state=State.ABANDONED)
        report(self, progress)

    monkeypatch.setattr(training_runs._RowReporter, "report", abandon_meanwhile)
    assert run_training(run.pk).state == State.ABANDONED
    assert not ModelVersion.objects.exists()


@pytest.mark.django_db(transaction=True)
def test_a_run_that_is_cancelled_while_it_registers_leaves_no_version(
    monkeypatch: pytest.MonkeyPatch, fake_training: list
) -> None:
    register = record_model_version

    def register_and_cancel(*arguments: object, **options: object) -> ModelVersion:
        version = register(*arguments, **options)
        cancel_training_run(TrainingRun.objects.get())
        return version

    monkeypatch.setattr(training_runs, "record_model_version", register_and_cancel)
    run = run_training(start().pk)
    assert (run.state, run.model_version) == (State.CANCELLED, None)
    assert not ModelVersion.objects.exists()


@pytest.mark.django_db(transaction=True)
def test_a_database_that_is_away_while_it_registers_does_not_cost_the_training(
    monkeypatch: pytest.MonkeyPatch, fake_training: list
) -> None:
    register, tries = record_model_version, []

    def lose_the_first(*arguments: object, **options: object) -> ModelVersion:
        tries.append(register(*arguments, **options))
        if len(tries) == 1:
            raise OperationalError("server closed the connection")
        return tries[-1]

    monkeypatch.setattr(training_runs, "record_model_version", lose_the_first)
    run = run_training(start().pk)
    assert (run.state, run.model_version, len(tries)) == (State.DONE, ModelVersion.objects.get(), 2)


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("step", ["record_answers", "examine_artefact"])
def test_nor_does_one_that_is_away_while_it_is_examined(
    monkeypatch: pytest.MonkeyPatch, fake_training: list, step: str
) -> None:
    carry_out, tries = getattr(training_runs, step), []

    def lose_the_first(*arguments: object, **options: object) -> object:
        tries.append(carry_out(*arguments, **options))
        if len(tries) == 1:
            raise OperationalError("server closed the connection")
        return tries[-1]

    monkeypatch.setattr(training_runs, step, lose_the_first)
    run = run_training(start(activate=True, reason="first").pk)
    assert (run.state, len(tries)) == (State.DONE, 2)
    assert run.model_version is not None

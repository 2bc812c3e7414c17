"""`train_classifier`: a training run that this process carries out, into a version or a folder; or one on the queue."""

import io
import json
import shutil
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from django.core.management import CommandError, call_command
from django.db import OperationalError
from django.db.models import QuerySet
from django.utils import timezone

from classifier.ml import pipeline
from classifier.ml.artefacts import MANIFEST_FILE, load_manifest
from classifier.ml.network.architecture import BackboneWeightsError
from classifier.ml.pipeline import TrainedArtefact, TrainingRequest
from classifier.ml.types import TrainingProgress
from classifier.models import AdoptionRun, ModelVersion, TrainingRun
from classifier.training import runs as training_runs
from classifier.training.runs import cancel_training_run, claim_training_run
from classifier.training.starting import start_training_run
from tests.support.artefacts import (
    OWN_NETWORKS,
    answer_alike,
    create_artefact_twin,
    create_broken_artefact,
    register_active_version,
)

pytestmark = pytest.mark.django_db
Stage = ModelVersion.Stage
State = TrainingRun.State


@pytest.fixture(autouse=True)
def artefacts_folder(settings: Any, tmp_path: Path) -> Path:
    settings.ARTEFACTS_DIR = tmp_path / "artefacts"
    return tmp_path / "artefacts"


@pytest.fixture
def calls(monkeypatch: pytest.MonkeyPatch) -> list[SimpleNamespace]:
    """What the pipeline was called with; it answers with a copy of the shipped artefact."""
    calls: list[SimpleNamespace] = []

    def train(request: TrainingRequest, *, output_dir: Path, data_dir: Path | None, progress: Any) -> TrainedArtefact:
        calls.append(SimpleNamespace(request=request, data_dir=data_dir))
        progress(TrainingProgress("load"))
        progress(TrainingProgress("train", 1, 1, 10, 10, {"loss": 0.5, "validation_accuracy": 0.9}))
        folder = output_dir / (request.name or "trained")
        shutil.copytree(OWN_NETWORKS, folder, dirs_exist_ok=True)
        return TrainedArtefact(folder=folder, manifest=load_manifest(folder))

    monkeypatch.setattr(pipeline, "train", train)
    return calls


def run(*arguments: str) -> tuple[str, str]:
    output, errors = io.StringIO(), io.StringIO()
    call_command("train_classifier", *arguments, stdout=output, stderr=errors)
    return output.getvalue(), errors.getvalue()


def test_a_training_is_a_run_that_becomes_a_candidate_and_leaves_no_other_folder(
    calls: list[SimpleNamespace], artefacts_folder: Path
) -> None:
    output, errors = run("--json", "--seed", "5", "--epochs", "2", "--limit", "300")
    result = json.loads(output)
    trained, version = TrainingRun.objects.get(), ModelVersion.objects.get()
    assert (trained.state, trained.model_version, trained.requested_by) == (State.DONE, version, None)
    assert (trained.seed, trained.epochs, trained.limit) == (5, 2, 300)
    assert trained.started_at <= trained.heartbeat_at <= trained.finished_at
    assert trained.progress["history"] == [{"epoch": 1, "loss": 0.5, "validation_accuracy": 0.9}]
    assert (result["training_run"], result["id"], result["stage"]) == (trained.pk, version.pk, Stage.CANDIDATE)
    assert [path.name for path in artefacts_folder.iterdir()] == [version.folder]
    assert calls[0].request.command == (
        "manage.py train_classifier --recipe default --seed 5 --backbone-weights imagenet --epochs 2 --limit 300"
    )
    assert "Load\nEpoch 1 of 1, loss 0.5000, validation accuracy 0.9000\n" in errors
    assert f"Training run {trained.pk}: 10 of 10 steps" in errors


def test_it_is_active_when_asked_for(calls: list[SimpleNamespace]) -> None:
    output, _ = run("--activate")
    version = ModelVersion.objects.get()
    assert version.stage == Stage.PRODUCTION
    assert "accuracy 0.9" in output
    assert f"model version {version.pk} (production)" in output


def test_what_may_be_worse_is_a_candidate_and_hours_are_not_lost(
    calls: list[SimpleNamespace], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    before = register_active_version(create_artefact_twin(tmp_path / "twin"))
    answer_alike(monkeypatch, wrong={load_manifest(OWN_NETWORKS).version: 50})
    output = io.StringIO()
    with pytest.raises(CommandError, match=r"registered and not in production\. It may be worse than twin-1") as caught:
        call_command("train_classifier", "--activate", "--json", stdout=output, stderr=io.StringIO())
    assert caught.value.returncode == 3
    result, trained = json.loads(output.getvalue()), TrainingRun.objects.get()
    assert (trained.state, trained.model_version_id, result["stage"]) == (State.DONE, result["id"], "candidate")
    assert trained.error.startswith("The version is registered and not in production")
    before.refresh_from_db()
    assert before.stage == Stage.PRODUCTION
    trained.delete()
    ModelVersion.objects.exclude(pk=before.pk).delete()
    output, _ = run("--activate", "--force", "--reason", "It knows our shop", "--json")
    assert json.loads(output)["stage"] == "production"
    assert AdoptionRun.objects.first().reason == "It knows our shop"


@pytest.mark.parametrize("arguments, status", [([], 1), (["--activate", "--force", "--reason", "So"], 3)])
def test_what_does_not_load_is_refused_by_force_as_well(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, arguments: list[str], status: int
) -> None:
    broken = create_broken_artefact(tmp_path / "broken")
    monkeypatch.setattr(pipeline, "train", lambda *_, **__: TrainedArtefact(broken, load_manifest(broken)))
    with pytest.raises(CommandError, match=r"broken-1 is not a serving network.*Nothing was registered") as caught:
        run(*arguments)
    assert (caught.value.returncode, ModelVersion.objects.exists()) == (status, False)


def test_a_head_on_random_weights_is_refused(calls: list[SimpleNamespace], settings: Any) -> None:
    for settings.BACKBONE_WEIGHTS, arguments in (("", ["--backbone-weights", "none"]), ("none", [])):
        with pytest.raises(CommandError, match=r"--backbone-weights: The recipe frozen trains a head alone") as caught:
            run("--recipe", "frozen", *arguments)
        assert caught.value.returncode == 2
    assert not TrainingRun.objects.exists()
    # A file stands for weights that were trained.
    run("--recipe", "frozen", "--backbone-weights", "/some/weights.h5")
    assert len(calls) == 1


def test_files_are_recorded_without_their_folders(calls: list[SimpleNamespace]) -> None:
    run("--backbone-weights", "/some/where/weights.h5", "--data-dir", "/else/where")
    assert (calls[0].request.backbone_weights, calls[0].data_dir) == ("/some/where/weights.h5", Path("/else/where"))
    assert calls[0].request.command == (
        "manage.py train_classifier --recipe default --seed 1 --backbone-weights weights.h5"
    )


def test_without_weights_named_it_takes_those_of_the_settings(calls: list[SimpleNamespace], settings: Any) -> None:
    settings.BACKBONE_WEIGHTS = "none"
    run()
    assert calls[0].request.backbone_weights == "none"
    assert calls[0].request.command.endswith("--backbone-weights none")


@pytest.mark.parametrize("there", [None, "empty", "artefact"])
def test_a_folder_elsewhere_is_not_registered(calls: list[SimpleNamespace], tmp_path: Path, there: str | None) -> None:
    folder = tmp_path / "mine"
    if there == "empty":
        folder.mkdir()
    elif there == "artefact":
        shutil.copytree(OWN_NETWORKS, folder)
    output, _ = run("--output", str(folder), "--json")
    assert load_manifest(folder) == load_manifest(OWN_NETWORKS)
    trained = TrainingRun.objects.get()
    assert (trained.state, trained.model_version, trained.output) == (State.DONE, None, str(folder))
    result = json.loads(output)
    assert (result["training_run"], result["folder"], "id" in result) == (trained.pk, str(folder), False)
    assert not ModelVersion.objects.exists()


@pytest.mark.parametrize("output", [True, False], ids=["output", "registered"])
@pytest.mark.parametrize(
    "change, words",
    [
        ({"seed": "abc"}, "seed: expected a whole number"),
        ({"metrics": {}, "training": {}}, "accuracy \N{EN DASH} over groups"),
    ],
    ids=["odd", "bare"],
)
def test_what_a_training_left_is_shown_or_refused_in_words(
    calls: list[SimpleNamespace],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    change: dict[str, Any],
    words: str,
    output: bool,
) -> None:
    train = pipeline.train

    def train_oddly(*arguments: Any, **options: Any) -> TrainedArtefact:
        trained = train(*arguments, **options)
        path = trained.folder / MANIFEST_FILE
        path.write_text(json.dumps(json.loads(path.read_text()) | change))
        return trained

    monkeypatch.setattr(pipeline, "train", train_oddly)
    try:
        said, _ = run(*(["--output", str(tmp_path / "mine")] if output else []))
    except CommandError as error:
        said = str(error)
    assert words in said


def test_a_folder_with_other_files_is_not_replaced(calls: list[SimpleNamespace], tmp_path: Path) -> None:
    (tmp_path / "thesis.txt").write_text("years of work")
    for path in (tmp_path, tmp_path / "thesis.txt"):
        with pytest.raises(CommandError, match="a new or empty folder, or an artefact") as caught:
            run("--output", str(path))
        assert caught.value.returncode == 2
    assert (tmp_path / "thesis.txt").read_text() == "years of work"
    assert calls == []


def test_silence_is_possible(calls: list[SimpleNamespace]) -> None:
    assert run("--verbosity", "0") == ("", "")


@pytest.mark.parametrize(
    "error, message, state, reason",
    [
        (KeyboardInterrupt(), "is cancelled. Nothing was registered", State.CANCELLED, ""),
        (BackboneWeightsError("no weights"), "failed: no weights", State.FAILED, "BackboneWeightsError: no weights"),
        (OSError("full"), "failed: full. Nothing was registered", State.FAILED, "OSError: full"),
    ],
)
@pytest.mark.parametrize("arguments", [[], ["--output", "var/never"]])
def test_what_goes_wrong_stands_on_the_run_and_registers_nothing(
    monkeypatch: pytest.MonkeyPatch,
    artefacts_folder: Path,
    arguments: list[str],
    error: BaseException,
    message: str,
    state: str,
    reason: str,
) -> None:
    def fail(*args: Any, **options: Any) -> None:
        raise error

    monkeypatch.setattr(pipeline, "train", fail)
    with pytest.raises(CommandError, match=message) as caught:
        run(*arguments)
    assert caught.value.returncode == 1
    trained = TrainingRun.objects.get()
    assert (trained.state, trained.error, trained.finished_at is None) == (state, reason, False)
    assert not ModelVersion.objects.exists()
    assert list(artefacts_folder.iterdir()) == []


@pytest.mark.parametrize(
    "interfere, message",
    [
        (lambda: cancel_training_run(TrainingRun.objects.get()), "is cancelled"),
        (lambda: TrainingRun.objects.update(state=State.ABANDONED, error="It died."), "is abandoned. It died."),
    ],
)
def test_it_ends_when_others_end_its_run(
    monkeypatch: pytest.MonkeyPatch,
    calls: list[SimpleNamespace],
    interfere: Callable[[], object],
    message: str,
) -> None:
    monkeypatch.setattr(training_runs, "PROGRESS_SECONDS", 0.0)
    train = pipeline.train

    def train_and_interfere(*args: Any, **options: Any) -> TrainedArtefact:
        interfere()
        return train(*args, **options)

    monkeypatch.setattr(pipeline, "train", train_and_interfere)
    with pytest.raises(CommandError, match=message) as caught:
        run()
    assert caught.value.returncode == 1
    assert not ModelVersion.objects.exists()


def test_beside_a_running_training_it_says_which_and_how_to_wait(calls: list[SimpleNamespace]) -> None:
    other = claim_training_run(start_training_run(recipe="default", seed=1).pk)
    with pytest.raises(CommandError) as caught:
        run()
    assert caught.value.returncode == 1
    assert f"training run {other.pk} is running. One training runs at a time." in str(caught.value)
    assert "--enqueue" in str(caught.value)
    assert calls == []
    assert list(TrainingRun.objects.all()) == [other]


def test_a_training_whose_process_died_stands_in_nobodys_way(calls: list[SimpleNamespace], settings: Any) -> None:
    dead = claim_training_run(start_training_run(recipe="default", seed=1).pk)
    TrainingRun.objects.update(heartbeat_at=timezone.now() - timedelta(seconds=settings.TRAINING_HEARTBEAT_SECONDS + 1))
    run()
    dead.refresh_from_db()
    assert (dead.state, TrainingRun.objects.first().state) == (State.ABANDONED, State.DONE)


def test_what_waits_for_a_worker_goes_on_waiting(calls: list[SimpleNamespace]) -> None:
    waiting = start_training_run(recipe="default", seed=1)
    run()
    waiting.refresh_from_db()
    assert (waiting.state, TrainingRun.objects.first().state) == (State.QUEUED, State.DONE)


@pytest.mark.parametrize("arguments", [[], ["--enqueue"], ["--output", "var/never"]])
def test_without_tables_it_says_what_to_do(
    monkeypatch: pytest.MonkeyPatch, calls: list[SimpleNamespace], arguments: list[str]
) -> None:
    def refuse(*args: Any, **options: Any) -> None:
        raise OperationalError("no such table: classifier_trainingrun")

    monkeypatch.setattr(QuerySet, "update", refuse)
    with pytest.raises(CommandError, match=r"no such table.*Run: manage\.py migrate"):
        run(*arguments)
    assert calls == []


def test_a_run_is_queued_with_what_was_asked_for() -> None:
    forced = ("--activate", "--force", "--reason", "So")
    output, _ = run("--enqueue", "--seed", "9", "--epochs", "3", *forced, "--json")
    queued = TrainingRun.objects.get()
    assert json.loads(output) == {"training_run": queued.pk, "state": "queued"}
    assert (queued.recipe, queued.seed, queued.epochs, queued.limit, queued.activate) == ("default", 9, 3, None, True)
    assert queued.reason == "So"


@pytest.mark.parametrize(
    "arguments, message",
    [
        (["--enqueue", "--data-dir", "/data"], "--enqueue leaves --data-dir"),
        (["--enqueue", "--backbone-weights", "none"], "--enqueue leaves --backbone-weights"),
        (["--output", "/tmp/x", "--activate"], "--activate needs a registered artefact"),
        (["--activate", "--force"], "--force needs --activate and --reason"),
        (["--epochs", "0"], "--epochs: Ensure this value is greater than or equal to 1"),
        (["--seed", "-1"], "--seed: Ensure this value is greater than or equal to 0"),
        (["--recipe", "best"], "invalid choice: 'best'"),
    ],
)
def test_bad_usage_does_nothing(calls: list[SimpleNamespace], arguments: list[str], message: str) -> None:
    with pytest.raises(CommandError, match=message):
        run(*arguments)
    assert calls == []
    assert not TrainingRun.objects.exists()
    assert not ModelVersion.objects.exists()

"""`train_classifier`: the pipeline's result becomes a model version, or a folder, or a run on the queue."""

import io
import json
import shutil
from pathlib import Path
from typing import Any

import pytest
from django.core.management import CommandError, call_command

from classifier.ml import pipeline
from classifier.ml.artefacts import DEFAULT_ARTEFACT, load_manifest
from classifier.ml.network.architecture import BackboneWeightsError
from classifier.ml.pipeline import TrainedArtefact, TrainingRequest
from classifier.ml.types import TrainingProgress
from classifier.models import ModelVersion, TrainingRun

pytestmark = pytest.mark.django_db
Stage = ModelVersion.Stage


@pytest.fixture(autouse=True)
def artefacts_folder(settings: Any, tmp_path: Path) -> Path:
    settings.ARTEFACTS_DIR = tmp_path / "artefacts"
    return tmp_path / "artefacts"


@pytest.fixture
def requests(monkeypatch: pytest.MonkeyPatch) -> list[TrainingRequest]:
    """What the pipeline was asked for; it answers with a copy of the shipped artefact."""
    asked: list[TrainingRequest] = []

    def train(request: TrainingRequest, *, output_dir: Path, progress: Any, **rest: Any) -> TrainedArtefact:
        asked.append(request)
        progress(TrainingProgress("load"))
        progress(TrainingProgress("train", 1, 1, 10, 10, {"loss": 0.5, "validation_accuracy": 0.9}))
        folder = Path(shutil.copytree(DEFAULT_ARTEFACT, output_dir / str(request.name)))
        return TrainedArtefact(folder=folder, manifest=load_manifest(folder))

    monkeypatch.setattr(pipeline, "train", train)
    return asked


def run(*arguments: str) -> tuple[str, str]:
    output, errors = io.StringIO(), io.StringIO()
    call_command("train_classifier", *arguments, stdout=output, stderr=errors)
    return output.getvalue(), errors.getvalue()


def test_a_training_becomes_a_candidate_and_leaves_no_other_folder(
    requests: list[TrainingRequest], artefacts_folder: Path
) -> None:
    output, errors = run("--json", "--seed", "5", "--epochs", "2", "--limit", "300")
    result = json.loads(output)
    version = ModelVersion.objects.get()
    assert (version.stage, result["id"], result["stage"]) == (Stage.CANDIDATE, version.pk, "candidate")
    assert [path.name for path in artefacts_folder.iterdir()] == [version.folder]
    assert requests[0].command == (
        "manage.py train_classifier --recipe default --seed 5 --epochs 2 --limit 300 --backbone-weights imagenet"
    )
    assert "Epoch 1 of 1: loss 0.5000, validation accuracy 0.9000" in errors


def test_it_is_active_when_asked_for(requests: list[TrainingRequest]) -> None:
    output, _ = run("--activate")
    assert ModelVersion.objects.get().stage == Stage.ACTIVE
    assert "accuracy" in output


def test_a_weights_file_is_recorded_by_its_name_alone(requests: list[TrainingRequest]) -> None:
    run("--backbone-weights", "/some/where/weights.h5")
    assert requests[0].backbone_weights == "/some/where/weights.h5"
    assert requests[0].command.endswith("--backbone-weights weights.h5")


def test_a_folder_elsewhere_is_not_registered(requests: list[TrainingRequest], tmp_path: Path) -> None:
    run("--output", str(tmp_path / "mine"))
    assert load_manifest(tmp_path / "mine") == load_manifest(DEFAULT_ARTEFACT)
    assert not ModelVersion.objects.exists()


def test_silence_is_possible(requests: list[TrainingRequest]) -> None:
    assert run("--verbosity", "0") == ("", "")


@pytest.mark.parametrize(
    "error, message",
    [
        (KeyboardInterrupt(), "interrupted; nothing was saved"),
        (BackboneWeightsError("no weights at hand"), "no weights at hand"),
        (OSError("no space left"), "no space left. Nothing was registered"),
    ],
)
def test_what_goes_wrong_registers_nothing(
    monkeypatch: pytest.MonkeyPatch, artefacts_folder: Path, error: BaseException, message: str
) -> None:
    def fail(*args: Any, **options: Any) -> None:
        raise error

    monkeypatch.setattr(pipeline, "train", fail)
    with pytest.raises(CommandError, match=message) as caught:
        run()
    assert caught.value.returncode == 1
    assert not ModelVersion.objects.exists()
    assert list(artefacts_folder.iterdir()) == []


def test_a_run_is_queued_with_what_was_asked_for() -> None:
    output, _ = run("--enqueue", "--seed", "9", "--epochs", "3", "--activate", "--json")
    queued = TrainingRun.objects.get()
    assert json.loads(output) == {"training_run": queued.pk, "state": "queued"}
    assert (queued.recipe, queued.seed, queued.epochs, queued.limit, queued.activate) == ("default", 9, 3, None, True)


@pytest.mark.parametrize(
    "arguments, message",
    [
        (["--enqueue", "--data-dir", "/data"], "--enqueue leaves --data-dir"),
        (["--enqueue", "--backbone-weights", "none"], "--enqueue leaves --backbone-weights"),
        (["--output", "/tmp/x", "--activate"], "--activate needs a registered artefact"),
        (["--epochs", "0"], "whole number of at least 1"),
        (["--recipe", "best"], "invalid choice: 'best'"),
    ],
)
def test_bad_usage_does_nothing(requests: list[TrainingRequest], arguments: list[str], message: str) -> None:
    with pytest.raises(CommandError, match=message):
        run(*arguments)
    assert requests == []
    assert not TrainingRun.objects.exists()
    assert not ModelVersion.objects.exists()

"""The command that calibrates an artefact anew."""

import io
import json
from pathlib import Path

import pytest
from django.conf import settings
from django.core.management import CommandError, call_command

from classifier.management.commands.calibrate_classifier import Command
from classifier.ml import pipeline
from classifier.ml.artefacts import DEFAULT_ARTEFACT, load_manifest
from classifier.ml.pipeline import TrainedArtefact


def test_a_folder_without_an_artefact_fails(tmp_path: Path) -> None:
    with pytest.raises(CommandError, match="expected a plain file at"):
        call_command("calibrate_classifier", tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_the_example_of_the_help_calibrates_a_copy_with_its_own_networks() -> None:
    lines = [line.split() for line in Command.help.splitlines()]
    ((source, copy),) = [words[2:] for words in lines if words[:2] == ["cp", "-r"]]
    assert ["manage.py", "calibrate_classifier", copy] in lines
    assert load_manifest(settings.BASE_DIR / source).base is None


def test_it_says_what_the_artefact_is_worth_now(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    asked = []

    def calibrate_again(folder: Path, **options: object) -> TrainedArtefact:
        asked.append((folder, options))
        return TrainedArtefact(folder=folder, manifest=load_manifest(DEFAULT_ARTEFACT))

    monkeypatch.setattr(pipeline, "calibrate_again", calibrate_again)
    words, document = io.StringIO(), io.StringIO()
    call_command("calibrate_classifier", DEFAULT_ARTEFACT, data_dir=tmp_path, stdout=words)
    call_command("calibrate_classifier", DEFAULT_ARTEFACT, json=True, stdout=document)
    assert asked == [
        (DEFAULT_ARTEFACT, {"data_dir": tmp_path, "key": None}),
        (DEFAULT_ARTEFACT, {"data_dir": None, "key": None}),
    ]
    metrics = load_manifest(DEFAULT_ARTEFACT).metrics
    assert f"accuracy {metrics['accuracy']:.4f}, {metrics['answered']:.1%}".replace("%", " %") in words.getvalue()
    assert json.loads(document.getvalue())["metrics"] == metrics

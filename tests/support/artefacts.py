"""Artefacts and model versions for tests: the shipped one in production, a twin of it, versions without files."""

import json
import shutil
from pathlib import Path

import pytest

from classifier.adoption.services import activate_model_version
from classifier.ml.artefacts import DEFAULT_ARTEFACT, MANIFEST_FILE
from classifier.models import ModelVersion
from classifier.registry.services import register_model_version


def create_artefact_twin(folder: Path, *, version: str = "twin-1") -> Path:
    """Copy the shipped artefact into a new folder, under another version name; return the folder."""
    shutil.copytree(DEFAULT_ARTEFACT, folder)
    manifest = folder / MANIFEST_FILE
    manifest.write_text(json.dumps(json.loads(manifest.read_text()) | {"version": version}))
    return folder


def register_active_version(folder: Path = DEFAULT_ARTEFACT) -> ModelVersion:
    """Register an artefact, the shipped one unless given, and bring it into production."""
    return activate_model_version(register_model_version(folder))


def vouch_for_files(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let versions be activated whose files nobody has; others are not verified either."""
    monkeypatch.setattr("classifier.adoption.services.verify_registered_artefact", lambda version: None)

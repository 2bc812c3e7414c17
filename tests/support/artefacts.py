"""Artefacts and model versions for tests: the shipped one in production, a twin of it, versions without files."""

import hashlib
import json
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from django.contrib.auth.models import User
from django.db import transaction

from classifier.adoption import services
from classifier.adoption.gate import Examination
from classifier.ml import pipeline
from classifier.ml.artefacts import BASE_FOLDER, DEFAULT_ARTEFACT, MANIFEST_FILE, NETWORK_FILE
from classifier.ml.pipeline import TestAnswers
from classifier.models import ModelVersion
from classifier.registry.services import register_model_version

#: The shipped base, which is an artefact of its own: its networks lie in its folder.
OWN_NETWORKS = DEFAULT_ARTEFACT / BASE_FOLDER


def create_artefact_twin(folder: Path, *, version: str = "twin-1") -> Path:
    """Copy the shipped base into a new folder, under another version name; return the folder."""
    shutil.copytree(OWN_NETWORKS, folder)
    manifest = folder / MANIFEST_FILE
    manifest.write_text(json.dumps(json.loads(manifest.read_text()) | {"version": version}))
    return folder


def create_broken_artefact(folder: Path, *, network: bytes = b"no network") -> Path:
    """Copy the shipped base with another serving network, whose hash is right; return the folder."""
    create_artefact_twin(folder, version="broken-1")
    (folder / NETWORK_FILE).write_bytes(network)
    manifest = json.loads((folder / MANIFEST_FILE).read_text())
    manifest["files"][NETWORK_FILE] = hashlib.sha256(network).hexdigest()
    (folder / MANIFEST_FILE).write_text(json.dumps(manifest))
    return folder


def bring_into_production(version: ModelVersion, *, user: User | None = None) -> ModelVersion:
    """Bring a verified version into production as an approved request does, though nobody asked; return it refreshed.

    Nothing is recorded of it: that is what tests of requests begin with. One that is there already stays as it is.
    """
    services.verify_version(version)
    with transaction.atomic():
        rows = services._lock_versions()
        if not rows[version.pk].is_in_production:
            services._bring_into_production(rows[version.pk], rows, requested_by=user)
    return rows[version.pk]


def register_active_version(folder: Path = OWN_NETWORKS) -> ModelVersion:
    """Register an artefact, the shipped base unless given, and bring it into production."""
    return bring_into_production(register_model_version(folder))


def vouch_for_files(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let versions be activated whose files nobody has; others are not verified and compared either."""
    monkeypatch.setattr("classifier.adoption.services.verify_version", lambda version: None)
    monkeypatch.setattr(
        "classifier.adoption.services.examine_version",
        lambda version, **options: Examination(services.get_activation_tag()),
    )


def answer_alike(monkeypatch: pytest.MonkeyPatch, *, wrong: Mapping[str, int] | None = None) -> list[str]:
    """Let every artefact say the same of 1,000 test pictures, but that these are wrong on so many of the first.

    Return the list of those that are asked, by their names.
    """
    asked = []
    truth = np.repeat(np.arange(10, dtype=np.uint8), 100)

    def answer(classifier: Any, *, data_dir: Path | None = None) -> TestAnswers:
        asked.append(classifier.version)
        said = truth.copy()
        said[: (wrong or {}).get(classifier.version, 0)] = 9
        return TestAnswers("0" * 64, said, truth)

    monkeypatch.setattr(pipeline, "answer_test_pictures", answer)
    return asked


def answer_as_registered(monkeypatch: pytest.MonkeyPatch, *, wrong: Mapping[str, int] | None = None) -> None:
    """Do the same, as if each had been asked when it was registered."""
    answer_alike(monkeypatch, wrong=wrong)
    monkeypatch.setattr(
        "classifier.adoption.gate.get_test_answers",
        lambda classifier, *, digest: pipeline.answer_test_pictures(classifier),
    )

"""What is left in ARTEFACTS_DIR when a process dies, and what the cleaning does about it."""

import hashlib
import json
import os
import shutil
import time
from io import StringIO
from pathlib import Path

import pytest
from django.core.management import CommandError, call_command

from classifier.ml.artefacts import BASE_FOLDER, DEFAULT_ARTEFACT, MANIFEST_FILE
from classifier.models import ModelVersion
from classifier.registry.cleaning import SAFE_AGE_SECONDS, CleaningReport, clean_artefacts
from classifier.registry.services import get_artefact_folder, register_model_version
from tests.support.artefacts import OWN_NETWORKS

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def artefacts_folder(settings, tmp_path: Path) -> Path:
    settings.ARTEFACTS_DIR = tmp_path / "artefacts"
    return tmp_path / "artefacts"


def grow_old(folder: Path) -> None:
    """Let the folder and all in it look as if nobody had touched them for longer than is safe."""
    then = time.time() - SAFE_AGE_SECONDS - 60
    for path in (*folder.rglob("*"), folder):
        os.utime(path, (then, then))


def test_k18_a_folder_whose_registration_died_before_its_row_is_removed(
    artefacts_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class PowerCutError(BaseException):
        pass

    def die(*_arguments: object, **_options: object) -> None:
        raise PowerCutError

    with monkeypatch.context() as dying:
        dying.setattr(ModelVersion.objects, "get_or_create", die)
        with pytest.raises(PowerCutError):
            register_model_version(OWN_NETWORKS)
    (orphan,) = artefacts_folder.iterdir()
    assert not ModelVersion.objects.exists()
    assert clean_artefacts() == CleaningReport(removed=[], damaged={})
    grow_old(orphan)
    assert clean_artefacts() == CleaningReport(removed=[orphan.name], damaged={})
    assert list(artefacts_folder.iterdir()) == []


def test_what_versions_name_and_what_is_not_ours_stays(artefacts_folder: Path) -> None:
    version = register_model_version(OWN_NETWORKS)
    left_behind = [".training-x", ".trained.0123456789abcdef.part"]
    for name in (*left_behind, "notes", ".git"):
        (artefacts_folder / name).mkdir()
    for path in artefacts_folder.iterdir():
        grow_old(path)
    assert clean_artefacts(dry_run=True).removed == sorted(left_behind)
    assert clean_artefacts() == CleaningReport(removed=sorted(left_behind), damaged={})
    assert {path.name for path in artefacts_folder.iterdir()} == {version.folder, "notes", ".git"}


def register_on_recalibrated_base(folder: Path) -> tuple[ModelVersion, str]:
    """Register a head on a base that has the shipped one's networks and another manifest; return that base's name."""
    shutil.copytree(DEFAULT_ARTEFACT, folder)
    base, head = (each / MANIFEST_FILE for each in (folder / BASE_FOLDER, folder))
    base.write_text(json.dumps(json.loads(base.read_text()) | {"version": "recalibrated-1"}))
    name = hashlib.sha256(base.read_bytes()).hexdigest()
    head.write_text(json.dumps(json.loads(head.read_text()) | {"base": name}))
    return register_model_version(folder), name


def test_a_base_that_a_manifest_alone_names_stays(artefacts_folder: Path, tmp_path: Path) -> None:
    first = register_model_version(DEFAULT_ARTEFACT)
    version, base = register_on_recalibrated_base(tmp_path / "recalibrated")
    assert version.base == first.base
    assert first.base.folder != base
    for path in artefacts_folder.iterdir():
        grow_old(path)
    assert clean_artefacts() == CleaningReport(removed=[], damaged={})
    # Which base its heads stand on is not known without the manifest: nothing goes that may be it.
    (artefacts_folder / version.folder / MANIFEST_FILE).write_text("{}")
    (artefacts_folder / ".training-x").mkdir()
    report = clean_artefacts(older_than_seconds=-60)
    assert (report.removed, list(report.damaged)) == ([".training-x"], [version.pk])
    assert (artefacts_folder / base).is_dir()


def test_what_somebody_still_writes_into_stays(artefacts_folder: Path) -> None:
    folder = artefacts_folder / ".training-x"
    folder.mkdir(parents=True)
    grow_old(folder)
    (folder / "log").write_text("epoch 1")
    assert clean_artefacts().removed == []
    assert (folder / "log").exists()


def test_a_damaged_artefact_is_reported_and_left(artefacts_folder: Path) -> None:
    version = register_model_version(OWN_NETWORKS)
    network = get_artefact_folder(version) / "network.tflite"
    network.write_bytes(b"something else")
    report = clean_artefacts(older_than_seconds=0)
    assert list(report.damaged) == [version.pk]
    assert "network.tflite: expected SHA-256" in report.damaged[version.pk]
    assert network.read_bytes() == b"something else"
    with pytest.raises(CommandError, match=f"model version {version.pk}: "):
        call_command("clean_artefacts")


def test_the_command_says_what_it_removed(artefacts_folder: Path) -> None:
    folder = artefacts_folder / ".training-x"
    folder.mkdir(parents=True)
    output = StringIO()
    call_command("clean_artefacts", older_than=0, dry_run=True, stdout=output)
    assert "1 folders would be removed" in output.getvalue()
    assert folder.is_dir()
    output = StringIO()
    call_command("clean_artefacts", older_than=0, json=True, stdout=output)
    assert json.loads(output.getvalue()) == {"removed": [".training-x"], "damaged": {}, "shared": []}
    assert not folder.exists()


def test_nothing_is_there_before_the_first_registration(artefacts_folder: Path) -> None:
    shutil.rmtree(artefacts_folder, ignore_errors=True)
    assert clean_artefacts() == CleaningReport(removed=[], damaged={})

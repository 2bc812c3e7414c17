"""From an artefact folder to the active version."""

import hashlib
import json
import os
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from django.core.management import CommandError, call_command

from classifier.ml.artefacts import (
    BASE_FOLDER,
    MANIFEST_FILE,
    MODEL_CARD_FILE,
    NETWORK_FILE,
    ArtefactError,
    ArtefactMissingError,
    save_artefact,
    verify_artefact,
)
from classifier.models import ModelVersion
from classifier.registry.cleaning import clean_artefacts
from classifier.registry.runtime import get_classifier
from classifier.registry.services import (
    check_registered_manifest,
    find_heads,
    get_artefact_folder,
    register_model_version,
    verify_registered_artefact,
)
from tests.support.artefacts import OWN_NETWORKS, create_broken_artefact

pytestmark = [pytest.mark.django_db, pytest.mark.both_databases]
Stage = ModelVersion.Stage


@pytest.fixture(autouse=True)
def artefacts_folder(settings, tmp_path: Path) -> Path:
    settings.ARTEFACTS_DIR = tmp_path / "artefacts"
    return tmp_path / "artefacts"


@pytest.fixture
def artefact(tmp_path: Path) -> Path:
    """A copy of the shipped artefact that a test may damage."""
    return Path(shutil.copytree(OWN_NETWORKS, tmp_path / "copy"))


def test_a_folder_becomes_a_version_with_the_facts_of_its_manifest(artefact: Path) -> None:
    version = register_model_version(artefact)
    assert (version.stage, version.recipe) == (Stage.CANDIDATE, "continued")
    assert version.metrics["images"] == 10000
    assert (get_artefact_folder(version) / MODEL_CARD_FILE).read_bytes() == (artefact / MODEL_CARD_FILE).read_bytes()
    shutil.rmtree(artefact)
    assert get_classifier(version).version == version.name


def test_the_same_artefact_twice_is_one_version(artefact: Path, artefacts_folder: Path) -> None:
    assert register_model_version(artefact) == register_model_version(artefact)
    assert ModelVersion.objects.count() == 1
    assert len(list(artefacts_folder.iterdir())) == 1


def test_a_damaged_artefact_is_refused_and_leaves_nothing(artefact: Path, artefacts_folder: Path) -> None:
    network = artefact / NETWORK_FILE
    network.write_bytes(network.read_bytes()[:-1] + b"!")
    with pytest.raises(ArtefactError, match=NETWORK_FILE):
        register_model_version(artefact)
    assert not ModelVersion.objects.exists()
    assert not artefacts_folder.exists()


def test_a_version_whose_network_labels_nothing_is_not_activated(tmp_path: Path) -> None:
    artefact = create_broken_artefact(tmp_path / "broken")
    with pytest.raises(CommandError, match=r"^network\.tflite of broken-1 is not a serving network"):
        call_command("register_model_version", str(artefact), "--activate")
    assert ModelVersion.objects.get().stage == Stage.CANDIDATE


def test_nothing_is_copied_but_the_named_files(artefact: Path, tmp_path: Path) -> None:
    # Given a secret elsewhere, and beside a good artefact links to it, a pipe, a large file and a folder,
    secret = tmp_path / "secret"
    secret.write_text("password")
    (artefact / "shadow.txt").symlink_to(secret)
    (artefact / MODEL_CARD_FILE).unlink()
    (artefact / MODEL_CARD_FILE).symlink_to(secret)
    os.mkfifo(artefact / "pipe")
    with (artefact / "big.bin").open("wb") as file:
        file.truncate(300_000_000)
    (artefact / "folder").mkdir()
    # when it is registered,
    folder = get_artefact_folder(register_model_version(artefact))
    # then what the manifest names is there, its own bytes, and the card that follows from it.
    assert {path.name for path in folder.iterdir()} == {path.name for path in OWN_NETWORKS.iterdir()}
    for path in folder.iterdir():
        assert not path.is_symlink()
        assert path.read_bytes() == (OWN_NETWORKS / path.name).read_bytes()


def test_files_of_more_than_an_artefact_may_have_are_not_read(artefact: Path) -> None:
    manifest = json.loads((artefact / MANIFEST_FILE).read_text())
    for number in range(3):
        (artefact / f"{number}.bin").write_bytes(bytes(4_000_000))
        manifest["files"][f"{number}.bin"] = hashlib.sha256(bytes(4_000_000)).hexdigest()
    (artefact / MANIFEST_FILE).write_text(json.dumps(manifest))
    with pytest.raises(ArtefactError, match=r"\d\.bin: expected at most \d+ bytes, received more"):
        register_model_version(artefact)
    (artefact / MANIFEST_FILE).write_text(" " * 1_048_577)
    with pytest.raises(ArtefactError, match=r"manifest\.json: expected at most 1048576 bytes"):
        register_model_version(artefact)


def test_a_registered_copy_that_changes_later_is_not_loaded(artefact: Path) -> None:
    version = register_model_version(artefact)
    manifest = get_artefact_folder(version) / "manifest.json"
    manifest.write_text(manifest.read_text().replace('"seed"', '"seed" '))
    with pytest.raises(ArtefactError, match="expected SHA-256"):
        get_classifier(version)


def test_with_a_key_only_signed_copies_are_loaded(artefact: Path, settings) -> None:
    settings.ARTEFACT_KEY = "a secret"
    version = register_model_version(artefact)
    assert get_classifier(version).version == version.name
    settings.ARTEFACT_KEY = "another secret"
    get_classifier.__globals__["_load"].cache_clear()
    with pytest.raises(ArtefactError, match="signature"):
        get_classifier(version)


def test_a_key_is_exchanged_while_the_former_one_is_accepted(artefact: Path, settings, capsys) -> None:
    """The recipe of docs/upgrades.md."""
    settings.ARTEFACT_KEY = "first"
    version = register_model_version(artefact)
    settings.ARTEFACT_KEY, settings.ARTEFACT_KEY_FALLBACKS = "second", ["first"]
    verify_registered_artefact(version)
    call_command("clean_artefacts", "--sign")
    assert capsys.readouterr().out == "1 artefacts are signed with ARTEFACT_KEY.\n"
    settings.ARTEFACT_KEY_FALLBACKS = []
    verify_registered_artefact(version)
    settings.ARTEFACT_KEY = "first"
    with pytest.raises(ArtefactError, match="signature"):
        verify_registered_artefact(version)


def test_what_nobody_signed_is_signed_by_no_command(artefact: Path, settings) -> None:
    with pytest.raises(CommandError, match="expected a key to sign with in ARTEFACT_KEY, there is none"):
        call_command("clean_artefacts", "--sign")
    settings.ARTEFACT_KEY = "first"
    register_model_version(artefact)
    settings.ARTEFACT_KEY, settings.ARTEFACT_KEY_FALLBACKS = "third", ["second"]
    with pytest.raises(CommandError, match="is not the manifest's signature with this key"):
        call_command("clean_artefacts", "--sign")


def test_a_key_set_later_is_met_by_registering_again(artefact: Path, settings) -> None:
    register_model_version(artefact)
    settings.ARTEFACT_KEY = "a secret set later"
    version = register_model_version(artefact)
    assert get_classifier(version).version == version.name


def test_registering_again_replaces_a_damaged_copy(artefact: Path) -> None:
    version = register_model_version(artefact)
    network = get_artefact_folder(version) / NETWORK_FILE
    network.write_bytes(b"damaged")
    register_model_version(artefact)
    assert network.read_bytes() == (artefact / NETWORK_FILE).read_bytes()


def test_the_command_registers_and_activates(artefact: Path, capsys: pytest.CaptureFixture[str]) -> None:
    call_command("register_model_version", str(artefact), "--activate")
    version = ModelVersion.objects.get()
    assert capsys.readouterr().out == f"Model version {version.pk}: {version.name} (production)\n"


def test_the_command_says_what_is_wrong_with_a_folder(tmp_path: Path) -> None:
    with pytest.raises(CommandError, match=r"manifest\.json"):
        call_command("register_model_version", str(tmp_path))
    assert not ModelVersion.objects.exists()


def test_a_base_is_copied_once_for_all_heads_that_name_it(tmp_path: Path, settings: Any) -> None:
    # Given a head with its base within, and another one on the same base,
    head = build_head(tmp_path / "head")
    other = Path(shutil.copytree(head, tmp_path / "other"))
    manifest = json.loads((other / MANIFEST_FILE).read_text())
    (other / MANIFEST_FILE).write_text(json.dumps(manifest | {"version": "other-1"}))
    # when both are registered,
    versions = [register_model_version(folder) for folder in (head, other)]
    # then both have the networks of one base, which lies beside them and stays when folders are cleaned.
    assert len({version.base_id for version in versions}) == 1
    base = versions[0].base
    assert base.folder == manifest["base"]
    assert {path.name for path in Path(settings.ARTEFACTS_DIR).iterdir()} == {
        base.folder,
        *(version.folder for version in versions),
    }
    for version in versions:
        verify_registered_artefact(version)
        check_registered_manifest(version)
        assert find_heads(version) is not None
    assert clean_artefacts(older_than_seconds=0.0).removed == []
    # Whatever is missing of the base is missing of its heads.
    (Path(settings.ARTEFACTS_DIR) / base.folder / NETWORK_FILE).unlink()
    with pytest.raises(ArtefactMissingError):
        check_registered_manifest(versions[0])
    assert find_heads(versions[1]) is not None
    assert set(clean_artefacts().damaged) == {version.pk for version in versions}


def build_head(folder: Path) -> Path:
    """Write a head of the shipped artefact, whose networks become the base within it."""
    artefact = verify_artefact(OWN_NETWORKS)
    base = replace(artefact.manifest, version="base-1")
    sha256 = hashlib.sha256(base.to_bytes()).hexdigest()
    save_artefact(folder, manifest=replace(artefact.manifest, files={}, base=sha256), contents={})
    save_artefact(folder / BASE_FOLDER, manifest=base, contents=artefact.contents)
    return folder

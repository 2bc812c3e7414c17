"""Artefact folders: saved whole or not at all, verified before anything in them is used."""

import dataclasses
import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import safetensors.numpy

from classifier.ml.artefacts import (
    BASE_FOLDER,
    COLOUR_FILE,
    DEFAULT_ARTEFACT,
    MANIFEST_FILE,
    MODEL_CARD_FILE,
    NETWORK_FILE,
    SIGNATURE_FILE,
    WEIGHTS_FILE,
    ArtefactError,
    ArtefactFormatError,
    ArtefactMissingError,
    ArtefactTamperedError,
    Manifest,
    SigningKey,
    artefact_bytes,
    build_file_hashes,
    load_manifest,
    manifest_sha256,
    save_artefact,
    sign_artefact,
    verify_artefact,
    write_model_card,
)
from classifier.ml.preprocessing import FORM_VERSION, SURE_AT_FIRST

CONTENTS = {WEIGHTS_FILE: b"weights" * 50, NETWORK_FILE: b"network" * 50}
KEY = SigningKey(b"a key of this test")


def build_manifest(**changes: Any) -> Manifest:
    """The shipped manifest with other files and no figures, and with these changes."""
    shipped = json.loads((DEFAULT_ARTEFACT / BASE_FOLDER / MANIFEST_FILE).read_bytes())
    values = {"version": "v-1", "training": {}, "metrics": {}, "files": build_file_hashes(CONTENTS), **changes}
    return Manifest(**{**shipped, **values})


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    target = tmp_path / "artefact"
    save_artefact(target, manifest=build_manifest(), contents=CONTENTS, key=KEY)
    return target


def test_what_was_saved_is_what_is_verified(folder: Path) -> None:
    artefact = verify_artefact(folder, expected_sha256=manifest_sha256(folder), key=KEY)
    assert artefact.manifest == build_manifest()
    assert artefact.contents == CONTENTS
    assert sorted(path.name for path in folder.iterdir()) == [
        MODEL_CARD_FILE, SIGNATURE_FILE, MANIFEST_FILE, NETWORK_FILE, WEIGHTS_FILE,
    ]  # fmt: skip


@pytest.mark.parametrize("name", [WEIGHTS_FILE, NETWORK_FILE])
@pytest.mark.parametrize("offset", [0, 1, 175, -1])
def test_one_flipped_bit_is_found(folder: Path, name: str, offset: int) -> None:
    content = bytearray((folder / name).read_bytes())
    content[offset] ^= 1
    (folder / name).write_bytes(content)
    with pytest.raises(ArtefactTamperedError, match=rf"{name}: expected SHA-256 [0-9a-f]{{64}}, received"):
        verify_artefact(folder)


@pytest.mark.parametrize("kept", [0, 1, 349])
def test_a_truncated_file_is_found(folder: Path, kept: int) -> None:
    (folder / NETWORK_FILE).write_bytes(CONTENTS[NETWORK_FILE][:kept])
    with pytest.raises(ArtefactTamperedError, match=NETWORK_FILE):
        verify_artefact(folder)


@pytest.mark.parametrize("name", [MANIFEST_FILE, WEIGHTS_FILE, NETWORK_FILE])
def test_a_missing_file_is_named(folder: Path, name: str) -> None:
    (folder / name).unlink()
    with pytest.raises(ArtefactMissingError, match=rf"expected a plain file at .*{name}"):
        verify_artefact(folder)


@pytest.mark.parametrize("name", [MANIFEST_FILE, NETWORK_FILE])
def test_a_link_is_refused_even_to_the_right_content(folder: Path, tmp_path: Path, name: str) -> None:
    shutil.move(folder / name, tmp_path / "elsewhere")
    (folder / name).symlink_to(tmp_path / "elsewhere")
    with pytest.raises(ArtefactMissingError, match=name):
        verify_artefact(folder)


@pytest.mark.parametrize("make", [os.mkdir, os.mkfifo])
def test_a_folder_or_a_pipe_in_place_of_a_file_is_refused(folder: Path, make: Callable[[Path], None]) -> None:
    (folder / NETWORK_FILE).unlink()
    make(folder / NETWORK_FILE)
    with pytest.raises(ArtefactMissingError, match=f"expected a plain file at .*{NETWORK_FILE}: "):
        verify_artefact(folder)


def test_a_manifest_that_is_not_the_registered_one_is_refused(folder: Path) -> None:
    registered = manifest_sha256(folder)
    changed = json.loads((folder / MANIFEST_FILE).read_bytes()) | {"seed": 2}
    (folder / MANIFEST_FILE).write_text(json.dumps(changed))
    with pytest.raises(ArtefactTamperedError, match=f"expected SHA-256 {registered}"):
        load_manifest(folder, expected_sha256=registered)


def test_hashes_changed_together_with_the_file_need_the_key(folder: Path) -> None:
    # Given somebody who replaces the network and its hash in the manifest,
    changed = {**CONTENTS, NETWORK_FILE: b"another network"}
    (folder / NETWORK_FILE).write_bytes(changed[NETWORK_FILE])
    (folder / MANIFEST_FILE).write_bytes(build_manifest(files=build_file_hashes(changed)).to_bytes())
    # when nothing but the folder is there to check against, it looks whole,
    assert verify_artefact(folder).contents == changed
    # then the signature tells.
    with pytest.raises(ArtefactTamperedError, match="not the manifest's signature"):
        verify_artefact(folder, key=KEY)


def test_another_key_or_no_signature_is_refused(folder: Path) -> None:
    with pytest.raises(ArtefactTamperedError, match=SIGNATURE_FILE):
        verify_artefact(folder, key=SigningKey(b"another key"))
    (folder / SIGNATURE_FILE).unlink()
    with pytest.raises(ArtefactMissingError, match=SIGNATURE_FILE):
        verify_artefact(folder, key=KEY)
    sign_artefact(folder, key=KEY)
    assert verify_artefact(folder, key=KEY).manifest == build_manifest()
    assert verify_artefact(folder, key=SigningKey(b"another key", (b"third", KEY.present))).sha256


def test_a_damaged_artefact_is_not_signed(folder: Path) -> None:
    (folder / SIGNATURE_FILE).unlink()
    (folder / WEIGHTS_FILE).write_bytes(b"other")
    with pytest.raises(ArtefactTamperedError):
        sign_artefact(folder, key=KEY)
    assert not (folder / SIGNATURE_FILE).exists()


@pytest.mark.parametrize(
    "content, message",
    [
        (b"", "to be JSON"),
        (b"\xff\xfe", "to be JSON"),
        (b"[]", "is not of type 'object'"),
        (b"{}", "'schema_version' is a required property"),
        (build_manifest(schema_version=3).to_bytes(), "schema_version: expected 1 or 2, received 3"),
        (build_manifest(labels={"garments": [], "groups": []}).to_bytes(), "labels of this product"),
        (build_manifest(files={}).to_bytes(), f"files: '{NETWORK_FILE}' is a required property"),
        (build_manifest(files={**build_file_hashes(CONTENTS), "../x": "0" * 64}).to_bytes(), r"received '\.\./x'"),
        (build_manifest(files={**build_file_hashes(CONTENTS), MANIFEST_FILE: "0" * 64}).to_bytes(), "plain file name"),
        (build_manifest(files={WEIGHTS_FILE: "0", NETWORK_FILE: "0"}).to_bytes(), "expected a SHA-256, received '0'"),
    ],
)
def test_a_manifest_of_another_form_is_refused(folder: Path, content: bytes, message: str) -> None:
    (folder / MANIFEST_FILE).write_bytes(content)
    with pytest.raises(ArtefactFormatError, match=message):
        verify_artefact(folder)


def test_a_manifest_says_what_is_wrong_with_its_values() -> None:
    with pytest.raises(ArtefactFormatError, match="PreprocessingSpec"):
        build_manifest(preprocessing={"colour": True}).preprocessing_spec()
    with pytest.raises(ArtefactFormatError, match="celsius"):
        build_manifest(calibration={"celsius": 20}).calibration_values()


def test_contents_that_do_not_match_the_manifest_are_not_saved(tmp_path: Path) -> None:
    with pytest.raises(ArtefactTamperedError):
        save_artefact(tmp_path / "new", manifest=build_manifest(), contents={**CONTENTS, NETWORK_FILE: b"other"})
    assert list(tmp_path.iterdir()) == []


def test_an_artefact_over_twelve_megabytes_is_not_saved(tmp_path: Path) -> None:
    contents = {**CONTENTS, WEIGHTS_FILE: bytes(12 * 1024 * 1024)}
    manifest = build_manifest(files=build_file_hashes(contents))
    with pytest.raises(ArtefactError, match="at most 12582912 bytes"):
        save_artefact(tmp_path / "new", manifest=manifest, contents=contents)
    assert list(tmp_path.iterdir()) == []


def test_a_save_that_fails_half_way_leaves_the_old_artefact(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before = manifest_sha256(folder)
    written = []

    def refuse_the_second(descriptor: int) -> None:
        written.append(descriptor)
        if len(written) == 2:
            raise OSError("no space left")

    monkeypatch.setattr(os, "fsync", refuse_the_second)
    with pytest.raises(OSError, match="no space left"):
        save_artefact(folder, manifest=build_manifest(version="v-2"), contents=CONTENTS)
    assert manifest_sha256(folder) == before
    assert [path.name for path in folder.parent.iterdir()] == [folder.name]


def test_an_artefact_replaces_one_of_the_same_name(folder: Path) -> None:
    save_artefact(folder, manifest=build_manifest(version="v-2"), contents=CONTENTS)
    assert load_manifest(folder).version == "v-2"
    assert not (folder / SIGNATURE_FILE).exists()
    assert [path.name for path in folder.parent.iterdir()] == [folder.name]


def test_the_model_card_follows_from_the_manifest_alone(folder: Path) -> None:
    card = (folder / MODEL_CARD_FILE).read_bytes()

    assert card == build_manifest().model_card()
    assert card.startswith(b"# Model card: v-1\n")
    (folder / MODEL_CARD_FILE).write_text("praise")
    write_model_card(folder)
    assert (folder / MODEL_CARD_FILE).read_bytes() == card
    assert len(list(folder.iterdir())) == 5


def test_no_model_card_is_written_into_a_damaged_artefact(folder: Path) -> None:
    (folder / NETWORK_FILE).write_bytes(b"other")
    (folder / MODEL_CARD_FILE).unlink()
    with pytest.raises(ArtefactTamperedError):
        write_model_card(folder)
    assert not (folder / MODEL_CARD_FILE).exists()


def test_the_model_card_counts_towards_the_twelve_megabytes(tmp_path: Path) -> None:
    contents = {**CONTENTS, WEIGHTS_FILE: bytes(12 * 1024 * 1024 - len(CONTENTS[NETWORK_FILE]))}
    manifest = build_manifest(files=build_file_hashes(contents))
    with pytest.raises(
        ArtefactError, match=f"received {12 * 1024 * 1024 + len(manifest.to_bytes() + manifest.model_card())}"
    ):
        save_artefact(tmp_path / "new", manifest=manifest, contents=contents)
    assert list(tmp_path.iterdir()) == []


def test_the_shipped_weights_are_arrays_named_after_the_members() -> None:
    artefact = verify_artefact(DEFAULT_ARTEFACT)
    weights = safetensors.numpy.load(artefact.networks[WEIGHTS_FILE])
    assert {name.partition("/")[0] for name in weights} == {
        f"member_{number}" for number in range(artefact.manifest.network["members"])
    }
    assert {value.dtype for value in weights.values()} == {np.dtype(np.float32)}


def test_the_same_values_make_the_same_bytes() -> None:
    manifest = build_manifest()
    assert manifest.to_bytes() == dataclasses.replace(manifest).to_bytes()


def test_the_shipped_artefact_is_whole_small_and_made_by_the_products_command() -> None:
    artefact = verify_artefact(DEFAULT_ARTEFACT)
    assert artefact_bytes(DEFAULT_ARTEFACT) <= 10_000_000
    assert artefact.manifest.command.startswith("manage.py train_classifier --recipe continued --seed ")
    assert f"--seed {artefact.manifest.seed}" in artefact.manifest.command
    assert artefact.manifest.training["continued_from"].startswith("default-")
    counts = {"train": 47000, "validation": 6000, "calibration": 5000, "reserved": 1000}
    assert artefact.manifest.dataset["pictures"] == counts
    assert artefact.manifest.metrics["images"] == 10000
    assert artefact.manifest.metrics["accuracy"] >= 0.975
    assert sorted(path.name for path in DEFAULT_ARTEFACT.rglob("*")) == sorted(
        [BASE_FOLDER, *[MODEL_CARD_FILE, MANIFEST_FILE] * 2, NETWORK_FILE, COLOUR_FILE, WEIGHTS_FILE]
    )
    assert (DEFAULT_ARTEFACT / MODEL_CARD_FILE).read_bytes() == artefact.manifest.model_card()


def test_what_looks_has_the_digest_that_catalogues_know() -> None:
    manifest = load_manifest(DEFAULT_ARTEFACT / BASE_FOLDER)
    # With another digest every catalogue looks at its pictures anew.
    assert manifest.looks_sha256() == "d04298f5809e46daf1d85967798205d0da8ac0abca880db896f36c2b73b34c38"
    # The digest does not say how sure a first look is: who changes that raises the version.
    assert (FORM_VERSION, SURE_AT_FIRST) == (2, 0.995)

"""A base with a second branch, and heads on it: they answer as before, or as they were taught, or are refused."""

import dataclasses
import hashlib
import json
import shutil
from pathlib import Path
from unittest import mock

import numpy as np
import pytest

from classifier.ml import artefacts
from classifier.ml.artefacts import (
    BASE_FOLDER,
    COLOUR_FILE,
    DEFAULT_ARTEFACT,
    HEADS_FILE,
    MANIFEST_FILE,
    NETWORK_FILE,
    WEIGHTS_FILE,
    ArtefactError,
    ArtefactFormatError,
    ArtefactMissingError,
    ArtefactTamperedError,
    SigningKey,
    artefact_bytes,
    build_file_hashes,
    load_manifest,
    manifest_sha256,
    save_artefact,
    verify_artefact,
)
from classifier.ml.bases import build_base
from classifier.ml.config import PreprocessingSpec
from classifier.ml.data import forms
from classifier.ml.data.dataset import FashionMnist
from classifier.ml.heads import GroupHead, Heads, read_heads, write_heads
from classifier.ml.inference import Classifier
from classifier.ml.labels import GROUPS
from classifier.ml.pipeline import calibrate_again
from classifier.ml.preprocessing import COLOUR_SIZE, canonical_pictures, colour_views
from tests.support.drawings import render_for_shop

KEY = SigningKey(b"key")


@pytest.fixture(scope="module")
def photographs(drawn_dataset: FashionMnist) -> list[np.ndarray]:
    return [render_for_shop(image, side=96, margin=10) for image in drawn_dataset.train_images[:80]]


def build_tiny_branch(pictures: np.ndarray, *, weights: object) -> bytes:
    """A second branch that sees the means of colours, and is converted in a moment."""
    import keras

    from classifier.ml.network.architecture import to_serving_network

    given = keras.Input((COLOUR_SIZE, COLOUR_SIZE, 3), dtype="uint8", name="pictures")
    means = keras.layers.GlobalAveragePooling2D()(keras.ops.cast(given, "float32"))
    seen = keras.layers.UnitNormalization(name="features")(keras.layers.Dense(64, name="reduction")(means))
    return to_serving_network(keras.Model(given, seen, name="colour"))


@pytest.fixture(scope="module")
def built(artefact_folder: Path, photographs: list[np.ndarray], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A head and its base with a tiny second branch."""
    folder = tmp_path_factory.mktemp("built")
    (folder / "weights.h5").write_bytes(b"any")
    with mock.patch("classifier.ml.network.colour.build_colour_network", build_tiny_branch):
        weights = str(folder / "weights.h5")
        build_base(artefact_folder, pictures=photographs, output=folder / "head", weights=weights, key=KEY)
    return folder / "head"


@pytest.fixture
def head(built: Path, tmp_path: Path) -> Path:
    """A copy of both, to be changed."""
    return Path(shutil.copytree(built, tmp_path / "head"))


def build_heads_file(weights: np.ndarray) -> bytes:
    """The file of a head for photographs with these weights and no bias."""
    head = GroupHead(weights.astype(np.float32), np.zeros(5, np.float32))
    return write_heads(Heads(load_manifest(DEFAULT_ARTEFACT).calibration_values(), photographs=head))


def teach(head: Path, output: Path, *, weights: np.ndarray, beside: bool = False) -> Path:
    """Write another head on the base of this one, whose photographs a head with these weights groups."""
    former = verify_artefact(head).manifest
    contents = {HEADS_FILE: build_heads_file(weights)}
    save_artefact(output, manifest=dataclasses.replace(former, files=build_file_hashes(contents)), contents=contents)
    shutil.copytree(head / BASE_FOLDER, output.parent / str(former.base) if beside else output / BASE_FOLDER)
    return output


def test_a_head_without_numbers_of_its_own_says_what_the_artefact_said(
    built: Path, artefact_folder: Path, drawn_dataset: FashionMnist, photographs: list[np.ndarray]
) -> None:
    pictures = [*photographs[:5], *drawn_dataset.test_images[:5]]
    before, after = (Classifier.load(folder) for folder in (artefact_folder, built))
    after.check()
    for number, (former, said) in enumerate(zip(before.classify(pictures), after.classify(pictures), strict=True)):
        assert (said.group, said.garment) == (former.group, former.garment)
        # How likely a photograph is turned was fitted anew.
        assert number < 5 or dataclasses.replace(said, features=former.features) == former
        assert said.features.numbers[:128] == former.features.numbers
        assert len(said.features.numbers) == 256
    # Nothing of a picture in canonical form is looked at in colour.
    colours = [np.frombuffer(said.features.numbers[128:], "<f2").astype(float) for said in after.classify(pictures)]
    np.testing.assert_allclose(np.linalg.norm(colours, axis=1), [1.0] * 5 + [0.0] * 5, atol=1e-2)


def test_a_base_is_named_by_its_hash_and_seen_alike_by_all_its_heads(built: Path, head: Path, tmp_path: Path) -> None:
    artefact = verify_artefact(built, key=KEY)
    assert artefact.manifest.base == manifest_sha256(built / BASE_FOLDER) == artefact.base.sha256
    assert set(artefact.networks) == {NETWORK_FILE, WEIGHTS_FILE, COLOUR_FILE}
    assert artefact.manifest.colour["licence"] == "Apache-2.0"
    assert "Apache-2.0" in artefact.manifest.model_card().decode()
    taught = verify_artefact(teach(head, tmp_path / "taught", weights=np.zeros((128, 5))))
    assert taught.looks_sha256 == artefact.looks_sha256
    assert taught.sha256 != artefact.sha256


@pytest.mark.parametrize("beside", [False, True])
def test_a_taught_head_groups_photographs_and_leaves_canonical_pictures(
    head: Path, tmp_path: Path, photographs: list[np.ndarray], drawn_dataset: FashionMnist, beside: bool
) -> None:
    weights = np.zeros((128, 5))
    folder = teach(head, tmp_path / "heads" / "taught", weights=weights, beside=beside)
    classifier, former = Classifier.load(folder), Classifier.load(head)
    said, before = classifier.classify(photographs[:3]), former.classify(photographs[:3])
    for mine, others in zip(said, before, strict=True):
        assert mine.group_probabilities == pytest.approx(dict.fromkeys(GROUPS, 0.2))
        assert mine.abstained
        # Within a group the garments' shares are the network's.
        shares = {name: others.garment_probabilities[name] for name in ("Sandal", "Sneaker", "Ankle boot")}
        expected = {name: 0.2 * value / sum(shares.values()) for name, value in shares.items()}
        assert {name: mine.garment_probabilities[name] for name in shares} == pytest.approx(expected)
    canonical = drawn_dataset.test_images[:3]
    for mine, others in zip(classifier.classify(list(canonical)), former.classify(list(canonical)), strict=True):
        assert (mine.group, mine.confidence, mine.abstained) == (others.group, others.confidence, others.abstained)


def test_a_head_whose_base_is_missing_or_another_is_refused(head: Path) -> None:
    (head / BASE_FOLDER).rename(head.parent / "elsewhere")
    with pytest.raises(ArtefactMissingError):
        verify_artefact(head)
    (head.parent / "elsewhere").rename(head / BASE_FOLDER)
    manifest = head / BASE_FOLDER / MANIFEST_FILE
    manifest.write_text(json.dumps(json.loads(manifest.read_text()) | {"seed": 4711}))
    with pytest.raises(ArtefactTamperedError):
        verify_artefact(head)


def test_a_changed_file_or_signature_of_the_base_is_refused(head: Path) -> None:
    verify_artefact(head, key=KEY)
    with pytest.raises(ArtefactTamperedError):
        verify_artefact(head, key=SigningKey(b"another key"))
    (head / BASE_FOLDER / COLOUR_FILE).write_bytes(b"changed")
    with pytest.raises(ArtefactTamperedError):
        verify_artefact(head)


def test_a_head_on_a_head_is_refused(head: Path) -> None:
    inner = head.parent / "inner"
    shutil.copytree(head, inner)
    manifest = json.loads((head / MANIFEST_FILE).read_text())
    shutil.rmtree(head / BASE_FOLDER)
    inner.rename(head / BASE_FOLDER)
    (head / MANIFEST_FILE).write_text(json.dumps(manifest | {"base": manifest_sha256(head / BASE_FOLDER)}))
    with pytest.raises(ArtefactFormatError, match="another head"):
        verify_artefact(head)


@pytest.mark.parametrize("beside", [False, True])
def test_the_size_of_a_head_has_its_base_in_it(head: Path, tmp_path: Path, beside: bool) -> None:
    folder = teach(head, tmp_path / "heads" / "taught", weights=np.zeros((128, 5)), beside=beside)
    files = [path for path in folder.parent.rglob("*") if path.is_file()]
    assert artefact_bytes(folder) == sum(path.stat().st_size for path in files)


def test_head_and_base_together_have_a_limit(head: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    size = sum(path.stat().st_size for path in (head / BASE_FOLDER).iterdir() if path.suffix != ".md")
    monkeypatch.setattr(artefacts, "MAX_ARTEFACT_BYTES", size)
    with pytest.raises(ArtefactTamperedError, match="at most"):
        verify_artefact(head)


@pytest.mark.parametrize("content", [b"", b"numbers", build_heads_file(np.full((64, 5), np.nan))])
def test_a_file_that_holds_no_head_is_refused(head: Path, tmp_path: Path, content: bytes) -> None:
    folder = teach(head, tmp_path / "taught", weights=np.zeros((128, 5)))
    (folder / HEADS_FILE).write_bytes(content)
    manifest = json.loads((folder / MANIFEST_FILE).read_text())
    manifest["files"][HEADS_FILE] = hashlib.sha256(content).hexdigest()
    (folder / MANIFEST_FILE).write_text(json.dumps(manifest))
    with pytest.raises(ArtefactFormatError, match=HEADS_FILE):
        read_heads(verify_artefact(folder))


def test_a_head_is_not_calibrated_without_its_base(built: Path, drawn_dataset: FashionMnist) -> None:
    with pytest.raises(ArtefactError, match="own networks"):
        calibrate_again(built, dataset=drawn_dataset)
    verify_artefact(built, key=KEY)


def test_a_head_is_no_source_of_a_base(
    built: Path, artefact_folder: Path, photographs: list[np.ndarray], tmp_path: Path
) -> None:
    with pytest.raises(ValueError, match="own networks"):
        build_base(built, pictures=photographs, output=tmp_path / "x", weights="imagenet")
    with pytest.raises((ValueError, ArtefactError), match="received none"):
        build_base(artefact_folder, pictures=photographs, output=tmp_path / "x", weights="none")


def test_a_base_is_the_source_of_itself(
    built: Path, photographs: list[np.ndarray], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # A test picture in disguise counts for nothing.
    page = np.full((40, 40, 3), (200, 180, 160), dtype=np.uint8)
    page[8:32, 12:28] = 30
    known = frozenset(forms._hash_forms(canonical_pictures([page], spec=PreprocessingSpec())))
    monkeypatch.setattr(forms, "_load_hashes", lambda: known)
    # Its second branch stays, so that what it saw in pictures counts still.
    again = build_base(built / BASE_FOLDER, pictures=[*photographs, page], output=tmp_path / "again", weights="none")
    assert again.manifest_bytes == (built / MANIFEST_FILE).read_bytes()
    assert again.networks == verify_artefact(built).networks


def test_pictures_of_any_kind_are_looked_at_in_colour() -> None:
    grey = np.full((20, 30), 7, np.uint8)
    colour = np.zeros((40, 20, 3), np.uint8)
    colour[..., 0] = 200
    cut = np.dstack([colour, np.zeros((40, 20), np.uint8)])
    views = colour_views([grey, colour, cut])
    assert views.shape == (3, COLOUR_SIZE, COLOUR_SIZE, 3)
    assert [tuple(view[64, 64]) for view in views] == [(7, 7, 7), (200, 0, 0), (200, 0, 0)]

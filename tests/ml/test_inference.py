"""Labelling with an artefact."""

import dataclasses
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from classifier.ml import inference
from classifier.ml.artefacts import (
    COLOUR_FILE,
    DEFAULT_ARTEFACT,
    NETWORK_FILE,
    ArtefactFormatError,
    ArtefactTamperedError,
    Manifest,
    manifest_sha256,
    verify_artefact,
)
from classifier.ml.data import forms
from classifier.ml.data.dataset import FashionMnist
from classifier.ml.heads import GroupHead, Heads, NoneHead
from classifier.ml.inference import Classifier
from classifier.ml.labels import GARMENTS, GROUP_OF_GARMENT, GROUPS
from classifier.ml.pipeline import TrainedArtefact
from classifier.ml.preprocessing import canonical_pictures, take_looks
from tests.support.drawings import render_for_shop


@pytest.fixture(scope="module")
def classifier(artefact_folder: Path) -> Classifier:
    return Classifier.load(artefact_folder, manifest_sha256=manifest_sha256(artefact_folder))


def test_a_prediction_is_complete_and_consistent(classifier: Classifier, drawn_dataset: FashionMnist) -> None:
    page = render_for_shop(drawn_dataset.test_images[3], side=224, margin=20)
    predictions = classifier.classify([drawn_dataset.test_images[0], page])
    assert len(predictions) == 2
    for said in predictions:
        assert tuple(said.group_probabilities) == GROUPS
        assert tuple(said.garment_probabilities) == GARMENTS
        assert sum(said.garment_probabilities.values()) == pytest.approx(1.0)
        assert said.confidence == said.group_probabilities[said.group] == max(said.group_probabilities.values())
        assert GROUP_OF_GARMENT[said.garment] == said.group
        of_group = [name for name in GARMENTS if GROUP_OF_GARMENT[name] == said.group]
        assert said.confidence == pytest.approx(sum(said.garment_probabilities[name] for name in of_group))
        assert said.garment == max(of_group, key=lambda name: said.garment_probabilities[name])
        numbers = np.frombuffer(said.features.numbers, "<f2").astype(float)
        assert len(numbers) == 64
        assert np.linalg.norm(numbers) == pytest.approx(1.0, rel=1e-3)
    assert [said.features.canonical for said in predictions] == [True, False]
    assert {(said.features.blank, said.features.views) for said in predictions} == {(False, 1)}


@pytest.mark.parametrize("count", [1, 31, 32, 33, 70])
def test_every_picture_gets_its_own_label_whatever_the_batch(
    classifier: Classifier, drawn_dataset: FashionMnist, count: int
) -> None:
    pictures = [drawn_dataset.train_images[index % 10] for index in range(count)]
    together = classifier.classify(pictures)
    assert len(together) == count
    for picture, said in zip(pictures, together, strict=True):
        alone = classifier.classify([picture])[0]
        assert said.garment == alone.garment
        np.testing.assert_allclose(
            np.frombuffer(said.features.numbers, "<f2"), np.frombuffer(alone.features.numbers, "<f2"), atol=1e-3
        )


@pytest.mark.parametrize("count", [0, 20, 70, 130])
def test_several_threads_say_the_same_in_the_same_order(
    classifier: Classifier, artefact_folder: Path, drawn_dataset: FashionMnist, count: int
) -> None:
    pictures = [drawn_dataset.train_images[index % 200] for index in range(count)]
    one, three = (each.run(pictures) for each in (classifier, Classifier.load(artefact_folder, threads=3)))
    assert one.logits.shape == three.logits.shape == (count, 10)
    np.testing.assert_allclose(one.logits, three.logits, atol=1e-5)
    np.testing.assert_allclose(one.embedding, three.embedding, atol=1e-5)


def test_a_blank_picture_gets_a_label_and_abstains(classifier: Classifier) -> None:
    said = classifier.classify([np.full((200, 200, 3), 255, dtype=np.uint8)])[0]
    assert said.group in GROUPS
    assert said.abstained is True


def test_no_pictures_give_no_predictions(classifier: Classifier) -> None:
    assert classifier.classify([]) == []


def test_the_version_is_the_manifests(classifier: Classifier, tiny_artefact: TrainedArtefact) -> None:
    assert classifier.version == tiny_artefact.manifest.version
    assert classifier.version.startswith("tiny-")


def test_threads_share_a_classifier(classifier: Classifier, drawn_dataset: FashionMnist) -> None:
    # Given threads that ask for batches of different sizes at the same time,
    expected = [said.garment for said in classifier.classify(list(drawn_dataset.test_images))]
    answers: dict[int, list[str]] = {}

    def ask(size: int) -> None:
        said = classifier.classify(list(drawn_dataset.test_images[:size]))
        answers[size] = [prediction.garment for prediction in said]

    threads = [threading.Thread(target=ask, args=(size,)) for size in range(1, 40, 3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    # then each gets the labels of its own pictures.
    assert answers == {size: expected[:size] for size in range(1, 40, 3)}


def test_another_manifest_than_the_registered_one_is_not_loaded(artefact_folder: Path) -> None:
    with pytest.raises(ArtefactTamperedError, match="expected SHA-256 " + "0" * 64):
        Classifier.load(artefact_folder, manifest_sha256="0" * 64)


def test_bytes_that_are_no_network_are_refused(tiny_artefact: TrainedArtefact) -> None:
    with pytest.raises(ArtefactFormatError, match=f"{NETWORK_FILE} of tiny-.* is not a serving network"):
        Classifier(network=b"TFL3 but nothing else", manifest=tiny_artefact.manifest)


def say_nothing(batch: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    return np.full((len(batch), 10), np.nan), np.zeros((len(batch), 64))


def stumble(batch: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    raise RuntimeError("tensor 3 has no data")


@pytest.mark.parametrize(
    "run, expected", [(say_nothing, "probabilities with the sum 1"), (stumble, "does not run: tensor 3 has no data")]
)
def test_a_network_that_labels_nothing_is_found_out(
    artefact_folder: Path, monkeypatch: pytest.MonkeyPatch, run: Callable[..., object], expected: str
) -> None:
    classifier = Classifier.load(artefact_folder)
    classifier.check()
    monkeypatch.setattr(classifier._network._engines[0], "run", run)
    with pytest.raises(ArtefactFormatError, match=expected):
        classifier.check()


def see_nothing(views: np.ndarray) -> np.ndarray:
    return np.full((len(views), 64), np.nan)


@pytest.mark.parametrize(
    "run, expected", [(see_nothing, "expected finite features"), (stumble, "does not run: tensor 3 has no data")]
)
def test_a_second_branch_that_sees_nothing_is_found_out(
    monkeypatch: pytest.MonkeyPatch, run: Callable[..., object], expected: str
) -> None:
    classifier = Classifier.load(DEFAULT_ARTEFACT)
    classifier.check()
    monkeypatch.setattr(classifier._colour, "run", run)
    for ask in (classifier.check, classifier.answer_golden):
        with pytest.raises(ArtefactFormatError, match=f"{COLOUR_FILE} of .*{expected}"):
            ask()


def draw_tall_and_wide() -> list[np.ndarray]:
    """A tall garment in two parts, and one of the same parts that lies on its side."""
    page = np.full((200, 200, 3), 255, dtype=np.uint8)
    page[20:80, 70:130], page[80:180, 75:125] = (60, 90, 160), (20, 20, 20)
    return [page, np.ascontiguousarray(np.rot90(page))]


def test_a_tall_photograph_has_the_mean_of_what_is_looked_at(
    classifier: Classifier, monkeypatch: pytest.MonkeyPatch
) -> None:
    pictures = draw_tall_and_wide()
    looks = take_looks(pictures, spec=classifier.manifest.preprocessing_spec())
    alone, _ = classifier._network.run(np.concatenate([looks.forms, looks.take_further(np.array([True, True]))]))
    # The tiny network is sure of nothing, so that it looks at all there is.
    output = classifier.run(pictures)
    np.testing.assert_allclose(output.logits[0], alone[[0, 2, 3]].mean(axis=0), atol=1e-4)
    np.testing.assert_allclose(output.logits[1], alone[1], atol=1e-4)
    assert output.photograph.tolist() == [True, True]
    # One that is sure at first is not asked again.
    monkeypatch.setattr(inference, "SURE_AT_FIRST", 0.0)
    np.testing.assert_allclose(classifier.run(pictures).logits, alone[:2], atol=1e-4)
    # Whatever comes with the form of a test picture is known for one.
    known = frozenset(forms._hash_forms(looks.forms[1:]))
    monkeypatch.setattr(forms, "_load_hashes", lambda: known)
    assert [of.test_form for of in classifier.look(pictures).split()] == [False, True]


def test_forms_are_answered_by_the_heads_as_pictures_are(artefact_folder: Path, drawn_dataset: FashionMnist) -> None:
    artefact = verify_artefact(artefact_folder)
    choose = np.random.default_rng(5)
    weights, bias = choose.normal(size=(64, len(GROUPS))), np.zeros(len(GROUPS))
    none = NoneHead(np.zeros(64, np.float32), np.zeros(64, np.float32), np.zeros((64, 1), np.float32), -9.0)
    heads = Heads(artefact.manifest.calibration_values(), photographs=GroupHead(weights, bias), none=none)
    classifier = Classifier(network=artefact.contents[NETWORK_FILE], manifest=artefact.manifest, heads=heads)
    page = render_for_shop(drawn_dataset.test_images[3], side=224, margin=20)
    for picture, photograph in ((page, page), (drawn_dataset.test_images[0], None)):
        (said,) = classifier.classify([picture])
        forms = classifier.view(picture).pixels[None].repeat(2, axis=0)
        expected = list(said.group_probabilities.values())
        found = classifier.group_probabilities(forms, photograph=photograph)
        np.testing.assert_allclose(found, [expected, expected], atol=1e-6)
    untaught = Classifier(network=artefact.contents[NETWORK_FILE], manifest=artefact.manifest)
    assert not np.allclose(classifier.classify([page])[0].confidence, untaught.classify([page])[0].confidence)


def test_an_artefact_of_the_first_schema_looks_once_and_judges_all_alike(artefact_folder: Path) -> None:
    artefact = verify_artefact(artefact_folder)
    calibration = dict(artefact.manifest.calibration)
    threshold = calibration.pop("threshold")
    for name in ("garment_threshold", "photographs"):
        del calibration[name]
    older = dataclasses.replace(
        artefact.manifest,
        schema_version=1,
        calibration=calibration | {"thresholds": dict.fromkeys(GROUPS, threshold) | {"Bags": 0.9}},
    )
    classifier = Classifier(network=artefact.contents[NETWORK_FILE], manifest=Manifest.from_bytes(older.to_bytes()))
    pictures = draw_tall_and_wide()
    forms = canonical_pictures(pictures, spec=older.preprocessing_spec())
    output = classifier.run(pictures)
    np.testing.assert_array_equal(output.logits, classifier.run(forms[..., 0]).logits)
    expected = older.calibration_values().probabilities(output.logits)
    np.testing.assert_array_equal(classifier.judge(output).garment_probabilities, expected)
    assert not any(said.garment_unsure for said in classifier.classify(pictures))


def test_labelling_does_not_import_tensorflow_or_django(artefact_folder: Path) -> None:
    code = (
        "import sys, numpy\n"
        "from pathlib import Path\n"
        "from classifier.ml.inference import Classifier\n"
        "from classifier.ml import pipeline\n"
        f"said = Classifier.load(Path({str(artefact_folder)!r})).classify([numpy.zeros((28, 28), numpy.uint8)])\n"
        "assert len(said) == 1\n"
        "assert not {'tensorflow', 'keras', 'django'} & set(sys.modules), sorted(sys.modules)\n"
    )
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stderr

"""From a recipe to an artefact and its evaluation."""

import dataclasses
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from classifier.ml import pipeline
from classifier.ml.artefacts import (
    NETWORK_FILE,
    WEIGHTS_FILE,
    artefact_bytes,
    load_manifest,
    save_artefact,
    verify_artefact,
)
from classifier.ml.config import RECIPES, ConfigurationError
from classifier.ml.data.dataset import SPLIT_SEED, FashionMnist, limit_stratified, split_training_pictures
from classifier.ml.inference import Classifier
from classifier.ml.judging.calibration import Calibration
from classifier.ml.labels import GROUPS, group_labels
from classifier.ml.network import architecture as networks
from classifier.ml.network import ensemble, training
from classifier.ml.network.architecture import BackboneWeightsError
from classifier.ml.network.training import LabelledPictures
from classifier.ml.pipeline import TrainedArtefact, TrainingRequest, calibrate_again, evaluate, evaluate_pictures, train
from classifier.ml.preprocessing import canonical_pictures
from classifier.ml.types import Prediction, TrainingProgress
from tests.ml.conftest import TINY_RECIPE, TINY_REQUEST
from tests.support.drawings import draw_dataset, render_for_shop
from tests.support.fakes import build_prediction

NOTHING_LEARNT = training.TrainingResult(history=(), best_epoch=0, seconds=0.0)


def serve_as(artefact: TrainedArtefact, monkeypatch: pytest.MonkeyPatch, *, network: Any = None) -> None:
    """Leave out what takes most of a small training's time: an artefact's network serves instead of a conversion.

    `network` is what every member begins with, if it is not to be built either.
    """
    content = (artefact.folder / NETWORK_FILE).read_bytes()
    monkeypatch.setattr(networks, "to_serving_network", lambda network: content)
    if network is not None:
        monkeypatch.setattr(ensemble, "build_seeded_network", lambda *rest, **more: network)


def test_the_manifest_says_how_the_artefact_came_about(
    tiny_artefact: TrainedArtefact, drawn_dataset: FashionMnist
) -> None:
    manifest = load_manifest(tiny_artefact.folder)
    assert manifest == tiny_artefact.manifest
    assert manifest.recipe == dataclasses.asdict(TINY_RECIPE)
    assert (manifest.seed, manifest.command, manifest.backbone) == (7, "train tiny", None)
    assert manifest.dataset["pictures"] == {"train": 80, "validation": 20, "calibration": 20, "reserved": 0}
    assert manifest.dataset["sha256"] == dict(drawn_dataset.sha256)
    assert manifest.metrics["images"] == 40
    assert [row["epoch"] for row in manifest.training["history"]] == [1.0, 2.0, 3.0, 4.0]
    assert set(manifest.libraries) == {"tensorflow", "keras", "numpy", "ai-edge-litert"}
    # The seed of a training decides no split: there is one.
    assert manifest.dataset["split_seed"] == SPLIT_SEED == 1
    split = split_training_pictures(drawn_dataset.train_labels)
    kept = limit_stratified(drawn_dataset.train_labels[split.train], limit=80, seed=7)
    trained_on = drawn_dataset.train_images[split.train[kept]]
    assert manifest.network["mean"] == pytest.approx(trained_on.mean())
    assert manifest.network["standard_deviation"] == pytest.approx(trained_on.std())


def test_evaluation_repeats_the_manifests_figures(tiny_artefact: TrainedArtefact, drawn_dataset: FashionMnist) -> None:
    report = evaluate(tiny_artefact.folder, dataset=drawn_dataset).to_json()
    for name in ("images", "accuracy", "garment_accuracy", "groups", "operating_points", "answered"):
        assert report[name] == tiny_artefact.manifest.metrics[name]
    assert report["artefact_bytes"] == artefact_bytes(tiny_artefact.folder)
    assert report["parameters"] == tiny_artefact.manifest.parameters
    assert json.loads(json.dumps(report)) == report


def test_pictures_from_elsewhere_are_measured_on_groups(
    tiny_artefact: TrainedArtefact, drawn_dataset: FashionMnist
) -> None:
    pictures = [render_for_shop(picture, side=224, margin=12) for picture in drawn_dataset.test_images[:10]]
    groups = group_labels(drawn_dataset.test_labels[:10]).tolist()
    report = evaluate_pictures(tiny_artefact.folder, pictures=pictures, groups=groups)
    assert report.metrics.images == 10
    assert report.metrics.garment_accuracy is None


def test_no_test_picture_takes_part_before_the_evaluation(
    tiny_artefact: TrainedArtefact, tiny_members: tuple[Any, ...], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Given test pictures, and reserved ones, that can be told from all others by their first pixel,
    drawn = draw_dataset(train_per_label=60)
    split = split_training_pictures(drawn.train_labels)
    assert len(split.reserved) == 10
    marked, reserved = drawn.test_images.copy(), drawn.train_images.copy()
    marked[:, 0, 0] = reserved[split.reserved, 0, 0] = 77
    # and in each part one picture that is a test picture,
    copies = [split.train[0], split.validation[0], split.calibration[0]]
    reserved[copies] = marked[:3]
    data = dataclasses.replace(drawn, train_images=reserved, test_images=marked)
    seen: dict[str, LabelledPictures] = {}

    def fit(network: object, *, train: LabelledPictures, validation: LabelledPictures, **rest: object) -> object:
        seen.update(train=train, validation=validation)
        return NOTHING_LEARNT

    calibrate_network = pipeline._calibrate_network

    def calibrate(network: bytes, *, pictures: np.ndarray, labels: np.ndarray) -> Calibration:
        seen.update(calibration=LabelledPictures(pictures, labels))
        return calibrate_network(network, pictures=pictures, labels=labels)

    def predict_logits(network: object, *, pictures: np.ndarray) -> np.ndarray:
        assert not (pictures[:, 0, 0, 0] == 77).any()
        return np.eye(10, dtype=np.float32)[np.arange(len(pictures)) % 10]

    serve_as(tiny_artefact, monkeypatch, network=tiny_members[0])
    monkeypatch.setattr(training, "fit", fit)
    monkeypatch.setattr(training, "predict_logits", predict_logits)
    monkeypatch.setattr(pipeline, "_calibrate_network", calibrate)
    # when a training runs,
    request = TrainingRequest(recipe=TINY_RECIPE, seed=1, command="", backbone_weights="none")
    trained = train(request, output_dir=tmp_path, dataset=data)
    # then fitting, stopping and calibrating saw every other training picture once, and none of these.
    assert sorted(seen) == ["calibration", "train", "validation"]
    together = np.concatenate([part.pictures for part in seen.values()])
    assert not (together[:, 0, 0, 0] == 77).any()
    others = np.delete(drawn.train_images, [*split.reserved, *copies], axis=0)
    assert sorted(map(bytes, together)) == sorted(map(bytes, others))
    counts = {"train": 479, "validation": 59, "calibration": 49, "reserved": 10}
    assert trained.manifest.dataset["pictures"] == counts


def test_a_picture_with_the_form_of_a_test_picture_may_not_train() -> None:
    data, spec = draw_dataset(train_per_label=2, test_per_label=1), TINY_RECIPE.preprocessing
    # Given a picture of a shop, and its form among the test pictures,
    page = render_for_shop(data.test_images[8], side=224, margin=16)
    form = canonical_pictures([page], spec=spec)[0, :, :, 0]
    test = np.concatenate([data.test_images, form[None]])
    pictures = [*data.train_images, data.test_images[3], page, form]
    forms, admitted = pipeline.admit_pictures(pictures, test=test, spec=spec)
    assert admitted.tolist() == [True] * 20 + [False] * 3
    np.testing.assert_array_equal(forms[:20, :, :, 0], data.train_images)


def test_a_limit_shortens_what_trains_only(drawn_dataset: FashionMnist) -> None:
    request = TrainingRequest(recipe=TINY_RECIPE, seed=9, command="", limit=50)
    split = pipeline._limited_split(drawn_dataset, request=request)
    assert (len(split.train), len(split.validation), len(split.calibration)) == (50, 20, 20)
    whole = split_training_pictures(drawn_dataset.train_labels)
    assert set(split.train) <= set(whole.train)


def test_the_artefact_appears_under_the_name_asked_for_and_nothing_beside_it(tiny_artefact: TrainedArtefact) -> None:
    assert tiny_artefact.folder.name == "tiny"
    assert [path.name for path in tiny_artefact.folder.parent.iterdir()] == ["tiny"]


def test_progress_names_every_phase_in_order(
    tiny_artefact: TrainedArtefact, training_reports: list[TrainingProgress]
) -> None:
    phases = list(dict.fromkeys(report.phase for report in training_reports))
    assert phases == ["load", "train", "calibrate", "evaluate", "save"]
    steps = [(report.epoch, report.step, report.steps) for report in training_reports if report.phase == "train"]
    assert steps == [(epoch, step, 5) for epoch in (1, 2, 3, 4) for step in (0, 5)]
    ends = [report for report in training_reports if report.phase == "train" and report.step == report.steps]
    assert all({"loss", "validation_loss", "validation_accuracy"} <= set(report.metrics) for report in ends)


def test_a_stopped_training_leaves_nothing(
    tiny_artefact: TrainedArtefact,
    tiny_members: tuple[Any, ...],
    drawn_dataset: FashionMnist,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    class Enough(Exception):
        pass

    def stop(progress: TrainingProgress) -> None:
        if progress.phase == "save":
            raise Enough

    serve_as(tiny_artefact, monkeypatch, network=tiny_members[0])
    monkeypatch.setattr(training, "fit", lambda *rest, **more: NOTHING_LEARNT)
    with pytest.raises(Enough):
        train(dataclasses.replace(TINY_REQUEST, epochs=1), output_dir=tmp_path, dataset=drawn_dataset, progress=stop)
    assert list(tmp_path.iterdir()) == []


def test_the_manifest_says_what_the_training_took(tiny_artefact: TrainedArtefact, drawn_dataset: FashionMnist) -> None:
    training = tiny_artefact.manifest.training
    assert training["seconds"] > training["fit_seconds"] > 0
    assert training["cpu_seconds"] > 0
    # The test's own process holds TensorFlow, which takes more than a hundred megabytes.
    assert training["peak_memory_bytes"] > 100_000_000
    # Of each member's two epochs one was kept,
    assert [row["epoch"] for row in training["history"]] == [1.0, 2.0, 3.0, 4.0]
    assert [(epoch - 1) // 2 for epoch in training["best_epochs"]] == [0, 1]
    # and what is said of a part is said of the members together, as the artefact serves them.
    validation = split_training_pictures(drawn_dataset.train_labels).validation
    logits = Classifier.load(tiny_artefact.folder).run(drawn_dataset.train_images[validation]).logits
    own = logits[np.arange(len(logits)), drawn_dataset.train_labels[validation]]
    loss = float((np.logaddexp.reduce(logits, axis=1) - own).mean())
    assert training["parts"]["validation"]["garment_loss"] == pytest.approx(loss, rel=1e-3)
    assert set(training["parts"]["train"]) == {"loss", "garment_loss", "accuracy", "garment_accuracy"}


def test_an_artefact_is_calibrated_again_as_it_was_and_keeps_its_networks(
    tiny_artefact: TrainedArtefact, drawn_dataset: FashionMnist, tmp_path: Path
) -> None:
    # Given an artefact as the first schema had it, whose thresholds are others than a training chooses now,
    artefact = verify_artefact(tiny_artefact.folder)
    calibration = {
        name: artefact.manifest.calibration[name]
        for name in ("temperature", "evidence_threshold", "balanced_weights", "target_precision")
    }
    older = dataclasses.replace(
        artefact.manifest,
        schema_version=1,
        calibration=calibration | {"thresholds": dict.fromkeys(GROUPS, 0.123)},
        dataset={**artefact.manifest.dataset, "pictures": {"train": 80, "validation": 20, "calibration": 24}},
    )
    save_artefact(tmp_path / "older", manifest=older, contents=artefact.contents)
    # when it is calibrated again,
    again = calibrate_again(tmp_path / "older", dataset=drawn_dataset)
    # then it is, byte for byte, the one that was trained, with what calibrated it and what is reserved counted.
    assert again.manifest.calibration == tiny_artefact.manifest.calibration
    assert again.manifest.metrics == tiny_artefact.manifest.metrics
    assert verify_artefact(tmp_path / "older").contents == artefact.contents
    assert load_manifest(tmp_path / "older").to_bytes() == artefact.manifest_bytes
    # One of another split was trained on pictures that are reserved in this one.
    other = dataclasses.replace(older, dataset={"name": "Fashion-MNIST"}, seed=5)
    save_artefact(tmp_path / "other", manifest=other, contents=artefact.contents)
    again = calibrate_again(tmp_path / "other", dataset=drawn_dataset)
    assert again.manifest.dataset["pictures"] == {"calibration": 20}


class Sayer:
    """Says one garment of every picture, and keeps the pictures."""

    def __init__(self, garment: str) -> None:
        self.garment = garment
        self.seen: list[bytes] = []

    def classify(self, pictures: list[np.ndarray]) -> list[Prediction]:
        self.seen += map(bytes, pictures)
        return [build_prediction(self.garment)] * len(pictures)


def test_versions_are_compared_on_the_test_pictures() -> None:
    data = draw_dataset(test_per_label=10)
    bag, shirt = (Sayer(garment) for garment in ("Bag", "Shirt"))
    answers = [pipeline.answer_test_pictures(one, dataset=data) for one in (bag, shirt)]
    assert bag.seen == shirt.seen == [bytes(picture) for picture in data.test_images]
    assert answers[0].pictures_sha256 == data.sha256["t10k-images-idx3-ubyte"]
    found = pipeline.compare_answers(answers[0], other=answers[1])
    truth = group_labels(data.test_labels)
    assert [one.of for one in found][:2] == ["all groups", "Upper part"]
    assert found[0].difference == pytest.approx(np.mean(truth == 4) - np.mean(truth == 0))
    assert (found[1].difference, found[-1].of, found[-1].difference) == (-1.0, "garments", 0.0)


def test_a_head_on_random_weights_is_no_request() -> None:
    with pytest.raises(ConfigurationError, match="The recipe frozen trains a head alone"):
        TrainingRequest(recipe=RECIPES["frozen"], seed=1, command="", backbone_weights="none")


def test_a_training_goes_on_from_an_artefact(
    tiny_artefact: TrainedArtefact, drawn_dataset: FashionMnist, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Given a training that learns nothing,
    serve_as(tiny_artefact, monkeypatch)
    monkeypatch.setattr(training, "fit", lambda *arguments, **rest: NOTHING_LEARNT)
    recipe = dataclasses.replace(TINY_RECIPE, name="further", dropout=0.0)
    request = TrainingRequest(recipe=recipe, seed=1, command="", backbone_weights=str(tiny_artefact.folder))
    # when it begins with an artefact,
    trained = train(request, output_dir=tmp_path, dataset=drawn_dataset)
    # then it has all of that one's weights and its statistics, and says where it began.
    assert trained.manifest.files[WEIGHTS_FILE] == tiny_artefact.manifest.files[WEIGHTS_FILE]
    assert trained.manifest.network == {**tiny_artefact.manifest.network, "dropout": 0.0}
    assert trained.manifest.training["continued_from"] == tiny_artefact.manifest.version
    assert trained.manifest.backbone == tiny_artefact.manifest.backbone


def test_a_training_does_not_go_on_from_another_network_or_split(
    tiny_artefact: TrainedArtefact, drawn_dataset: FashionMnist, tmp_path: Path
) -> None:
    folder = str(tiny_artefact.folder)
    wider = dataclasses.replace(TINY_RECIPE, network_size=48)
    request = TrainingRequest(recipe=wider, seed=1, command="", backbone_weights=folder)
    with pytest.raises(ConfigurationError, match="expected a recipe of the network that tiny"):
        train(request, output_dir=tmp_path, dataset=drawn_dataset)
    # An artefact from before there was one split was trained on that of its seed.
    manifest = dataclasses.replace(tiny_artefact.manifest, dataset={"name": "Fashion-MNIST"}, seed=5)
    other = tmp_path / "other"
    save_artefact(other, manifest=manifest, contents=verify_artefact(tiny_artefact.folder).contents)
    request = TrainingRequest(recipe=TINY_RECIPE, seed=1, command="", backbone_weights=str(other))
    with pytest.raises(ConfigurationError, match="another split"):
        train(request, output_dir=tmp_path, dataset=drawn_dataset)


def test_missing_backbone_weights_end_before_any_training(drawn_dataset: FashionMnist, tmp_path: Path) -> None:
    request = TrainingRequest(recipe=TINY_RECIPE, seed=1, command="", backbone_weights="/nowhere.h5")
    with pytest.raises(BackboneWeightsError, match=r"/nowhere\.h5"):
        train(request, output_dir=tmp_path, dataset=drawn_dataset)
    assert list(tmp_path.iterdir()) == []

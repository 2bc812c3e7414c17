"""Fitting, on a network small enough to train within a test."""

import dataclasses
from collections.abc import Iterator

import keras
import numpy as np
import pytest

from classifier.ml.config import NO_AUGMENTATION, AugmentationSpec, Recipe
from classifier.ml.data.augmentation import Examples
from classifier.ml.labels import GARMENTS, group_labels, group_probabilities
from classifier.ml.network import training
from classifier.ml.network.architecture import content_sha256, named_weights
from classifier.ml.network.training import (
    LabelledPictures,
    TrainingResult,
    build_seeded_network,
    fit,
    one_cycle_factor,
    predict_logits,
    score,
    train_network,
)
from classifier.ml.types import TrainingProgress
from tests.ml.network.specs import CUT_SPEC
from tests.support.drawings import draw_dataset

RECIPE = Recipe(name="small", description="", epochs=4, batch_size=20, learning_rate=0.02, augmentation=NO_AUGMENTATION)
DATASET = draw_dataset()
TRAIN = LabelledPictures(DATASET.train_images[..., None], DATASET.train_labels)
FROZEN_SPEC = dataclasses.replace(CUT_SPEC, dropout=0.0)
VALIDATION = LabelledPictures(DATASET.test_images[..., None], DATASET.test_labels)


def build_small_network(seed: int = 3, *, dropout: float = 0.1) -> keras.Model:
    """A network with the outputs of the real one: pooled pixels, an embedding, ten logits."""
    keras.utils.set_random_seed(seed)
    pictures = keras.Input((28, 28, 1), dtype="uint8")
    value = keras.layers.Rescaling(1 / 255)(keras.ops.cast(pictures, "float32"))
    value = keras.layers.Flatten()(keras.layers.AveragePooling2D(2)(value))
    embedding = keras.layers.Dense(16, name="projection")(keras.layers.Dropout(dropout)(value))
    return keras.Model(pictures, [keras.layers.Dense(10, name="logits")(embedding), embedding])


def run(
    network: keras.Model, *, recipe: Recipe = RECIPE, seed: int = 5, reports: list[TrainingProgress] | None = None
) -> TrainingResult:
    return fit(
        network,
        recipe=recipe,
        train=TRAIN,
        validation=VALIDATION,
        seed=seed,
        progress=(reports if reports is not None else []).append,
    )


def test_a_network_learns_what_it_is_shown() -> None:
    network, reports = build_small_network(), []
    result = run(network, reports=reports)
    assert [row["epoch"] for row in result.history] == [1.0, 2.0, 3.0, 4.0]
    assert result.history[-1]["validation_garment_accuracy"] == 1.0
    assert predict_logits(network, pictures=VALIDATION.pictures).argmax(axis=1).tolist() == DATASET.test_labels.tolist()
    # Every epoch reports its figures at its end.
    ends = [report for report in reports if report.step == report.steps]
    assert [(report.epoch, report.epochs, report.steps) for report in ends] == [(epoch, 4, 10) for epoch in range(1, 5)]
    assert [dict(report.metrics) for report in ends] == list(result.history)


def test_one_seed_gives_one_result() -> None:
    recipe = dataclasses.replace(RECIPE, epochs=2, augmentation=AugmentationSpec(shop_share=0.3, outlier_share=0.1))
    first, again, other = (build_small_network() for _ in range(3))
    results = [run(first, recipe=recipe), run(again, recipe=recipe), run(other, recipe=recipe, seed=6)]
    losses = [[row["loss"] for row in result.history] for result in results]
    assert losses[1] == pytest.approx(losses[0], rel=1e-4)
    assert losses[2] != pytest.approx(losses[0], rel=1e-4)
    for name, value in named_weights(first).items():
        np.testing.assert_allclose(named_weights(again)[name], value, rtol=1e-3, atol=1e-4)


def test_the_weights_of_the_best_epoch_are_kept_and_patience_ends_the_training() -> None:
    # Given a rate so high that the first epochs spoil what they find,
    network = build_small_network()
    recipe = dataclasses.replace(RECIPE, epochs=12, learning_rate=3.0, patience=1)
    # when validation no longer improves,
    result = run(network, recipe=recipe)
    # then training ended one epoch after the best one, whose weights are those kept.
    losses = [row["validation_garment_loss"] for row in result.history]
    assert len(losses) < 12
    assert result.best_epoch == len(losses) - 1 == int(np.argmin(losses)) + 1
    logits = predict_logits(network, pictures=VALIDATION.pictures).astype(np.float64)
    rows = np.arange(len(logits)), VALIDATION.labels
    kept = float(-(logits - np.logaddexp.reduce(logits, axis=1, keepdims=True))[rows].mean())
    assert kept == pytest.approx(min(losses), rel=1e-4)


def test_the_loss_of_validation_is_the_sum_that_the_training_lessens() -> None:
    network = build_small_network()
    probabilities = np.exp(predict_logits(network, pictures=VALIDATION.pictures).astype(np.float64))
    probabilities /= probabilities.sum(axis=1, keepdims=True)
    rows = np.arange(len(probabilities))
    garments = -np.log(probabilities[rows, VALIDATION.labels]).mean()
    groups = -np.log(group_probabilities(probabilities)[rows, group_labels(VALIDATION.labels)]).mean()
    scores = score(network, part=VALIDATION, group_loss_weight=0.25)
    assert scores["garment_loss"] == pytest.approx(garments)
    assert scores["loss"] == pytest.approx(garments + 0.25 * groups, rel=1e-5)
    # An epoch of a training that changes nothing and drops nothing reports that sum on its own pictures.
    still = build_small_network(dropout=0.0)
    (row,) = run(still, recipe=dataclasses.replace(RECIPE, epochs=1, learning_rate=1e-9)).history
    weight = RECIPE.group_loss_weight
    assert row["loss"] == pytest.approx(score(still, part=TRAIN, group_loss_weight=weight)["loss"], rel=1e-3)
    assert row["validation_loss"] == score(still, part=VALIDATION, group_loss_weight=weight)["loss"]


def test_where_only_the_group_is_known_its_loss_stands_in_the_garments_place(monkeypatch: pytest.MonkeyPatch) -> None:
    # Given pictures that say of footwear which group it is and no more,
    footwear = [GARMENTS.index(name) for name in ("Sandal", "Sneaker", "Ankle boot")]
    unknown = np.isin(TRAIN.labels, footwear)
    targets = np.eye(len(GARMENTS), dtype=np.float32)[TRAIN.labels]
    targets[unknown] = 0
    targets[np.ix_(unknown, footwear)] = 1 / 3

    def batches(train: LabelledPictures, **rest: object) -> Iterator[Examples]:
        yield Examples(train.pictures, targets, ~unknown)

    monkeypatch.setattr(training, "_batches", batches)
    # when a step is made,
    still = build_small_network(dropout=0.0)
    recipe = dataclasses.replace(RECIPE, epochs=1, learning_rate=1e-9, group_loss_weight=0.25)
    (row,) = run(still, recipe=recipe).history
    # then their loss is that of the group, in full and by the weight again.
    logits = predict_logits(still, pictures=TRAIN.pictures).astype(np.float64)
    probabilities = np.exp(logits - np.logaddexp.reduce(logits, axis=1, keepdims=True))
    rows = np.arange(len(logits))
    garments = -np.log(probabilities[rows, TRAIN.labels])
    groups = -np.log(group_probabilities(probabilities)[rows, group_labels(TRAIN.labels)])
    assert row["loss"] == pytest.approx((np.where(unknown, groups, garments) + 0.25 * groups).mean(), rel=1e-3)


def test_what_the_progress_raises_ends_the_training() -> None:
    class Enough(Exception):
        pass

    def stop(progress: TrainingProgress) -> None:
        if progress.epoch == 2:
            raise Enough

    network = build_small_network()
    with pytest.raises(Enough):
        fit(network, recipe=RECIPE, train=TRAIN, validation=VALIDATION, seed=1, progress=stop)


def test_epochs_at_a_smaller_size_train_the_same_weights_and_are_never_kept() -> None:
    # Given a network with a twin for small pictures,
    network = build_small_network()
    asked = []

    def network_at(size: int) -> keras.Model:
        asked.append(size)
        return keras.Model(network.input, network.output)

    recipe = dataclasses.replace(RECIPE, epochs=4, first_size=32, network_size=48, learning_rate=3.0, patience=4)
    # when the rate is so high that every epoch is worse than the one before,
    result = fit(
        network,
        recipe=recipe,
        train=TRAIN,
        validation=VALIDATION,
        seed=5,
        progress=[].append,
        network_at=network_at,
    )
    # then only the epochs at full size were candidates.
    assert [row["size"] for row in result.history] == [32.0, 32.0, 32.0, 48.0]
    assert asked == [32]
    assert result.best_epoch == 4


def test_the_rate_rises_and_falls_once() -> None:
    assert one_cycle_factor(0.0) == pytest.approx(0.1)
    assert one_cycle_factor(0.2) == pytest.approx(1.0)
    assert one_cycle_factor(1.0) == pytest.approx(0.001)
    factors = [one_cycle_factor(share) for share in np.linspace(0, 1, 101)]
    peak = int(np.argmax(factors))
    assert peak == 20
    assert factors[:peak] == sorted(factors[:peak])
    assert factors[peak:] == sorted(factors[peak:], reverse=True)


@pytest.fixture(scope="module")
def frozen_network() -> tuple[keras.Model, str]:
    """A network of which the head alone learns, and the hash of what it began with."""
    network = build_seeded_network(FROZEN_SPEC, seed=1, weights=None, frozen=True)
    return network, content_sha256(network)


def test_a_frozen_backbone_keeps_weights_and_statistics(frozen_network: tuple[keras.Model, str]) -> None:
    network, _ = frozen_network
    learning = ["logits/bias", "logits/kernel", "projection/bias", "projection/kernel"]
    assert sorted(variable.path for variable in network.trainable_variables) == learning
    before = named_weights(network)
    network(TRAIN.pictures[:16], training=True)
    for name, value in named_weights(network).items():
        np.testing.assert_array_equal(value, before[name])


def test_a_head_learns_from_features_that_are_computed_once(frozen_network: tuple[keras.Model, str]) -> None:
    network, _ = frozen_network
    before = content_sha256(network.get_layer("backbone"))
    recipe = dataclasses.replace(
        RECIPE, epochs=10, trainable="head", feature_copies=2, network_size=32, augmentation=AugmentationSpec()
    )
    reports: list[TrainingProgress] = []
    result = train_network(
        network, spec=FROZEN_SPEC, recipe=recipe, train=TRAIN, validation=VALIDATION, seed=2, progress=reports.append
    )
    # Two augmented copies of each training picture, then the validation pictures as they are.
    done = [report.step for report in reports if report.phase == "features"]
    assert done == [200, 200, 40]
    assert {report.steps for report in reports if report.phase == "train"} == {20}
    assert content_sha256(network.get_layer("backbone")) == before
    # What the head learnt is in the whole network.
    whole = score(network, part=VALIDATION, group_loss_weight=recipe.group_loss_weight)
    assert whole["loss"] == pytest.approx(result.history[result.best_epoch - 1]["validation_loss"], rel=1e-3)
    assert whole["loss"] < result.history[0]["validation_loss"]


def test_the_seed_decides_random_weights(frozen_network: tuple[keras.Model, str]) -> None:
    _, first = frozen_network
    again, other = (build_seeded_network(FROZEN_SPEC, seed=seed, weights=None, frozen=True) for seed in (1, 2))
    assert first == content_sha256(again)
    assert first != content_sha256(other)

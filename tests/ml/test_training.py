"""Fitting, on a network small enough to train within a test."""

import dataclasses

import keras
import numpy as np
import pytest

from classifier.ml.config import NO_AUGMENTATION, AugmentationSpec, Recipe
from classifier.ml.network import NetworkSpec, content_sha256, named_weights
from classifier.ml.training import (
    LabelledPictures,
    TrainingResult,
    TrainingStopped,
    build_seeded_network,
    fit,
    one_cycle_factor,
    predict_logits,
)
from classifier.ml.types import TrainingProgress
from tests.ml.drawings import draw_dataset

RECIPE = Recipe(name="small", description="", epochs=4, batch_size=20, learning_rate=0.02, augmentation=NO_AUGMENTATION)
DATASET = draw_dataset()
TRAIN = LabelledPictures(DATASET.train_images[..., None], DATASET.train_labels)
VALIDATION = LabelledPictures(DATASET.test_images[..., None], DATASET.test_labels)


def build_small_network(seed: int = 3) -> keras.Model:
    """A network with the outputs of the real one: pooled pixels, an embedding, ten logits."""
    keras.utils.set_random_seed(seed)
    pictures = keras.Input((28, 28, 1), dtype="uint8")
    value = keras.layers.Rescaling(1 / 255)(keras.ops.cast(pictures, "float32"))
    value = keras.layers.Flatten()(keras.layers.AveragePooling2D(2)(value))
    embedding = keras.layers.Dense(16, name="projection")(keras.layers.Dropout(0.1)(value))
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
        should_stop=lambda: False,
    )


def test_a_network_learns_what_it_is_shown() -> None:
    network = build_small_network()
    result = run(network)
    assert [row["epoch"] for row in result.history] == [1.0, 2.0, 3.0, 4.0]
    assert result.history[-1]["validation_garment_accuracy"] == 1.0
    assert predict_logits(network, pictures=VALIDATION.pictures).argmax(axis=1).tolist() == DATASET.test_labels.tolist()


def test_one_seed_gives_one_result() -> None:
    recipe = dataclasses.replace(
        RECIPE, epochs=2, augmentation=AugmentationSpec(shop_share=0.3, outlier_share=0.1), label_smoothing=0.05
    )
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
    losses = [row["validation_loss"] for row in result.history]
    assert len(losses) < 12
    assert result.best_epoch == len(losses) - 1 == int(np.argmin(losses)) + 1
    logits = predict_logits(network, pictures=VALIDATION.pictures).astype(np.float64)
    rows = np.arange(len(logits)), VALIDATION.labels
    kept = float(-(logits - np.logaddexp.reduce(logits, axis=1, keepdims=True))[rows].mean())
    assert kept == pytest.approx(min(losses), rel=1e-4)


def test_a_stop_is_heeded_before_the_next_step() -> None:
    answers = iter([False, False, True])
    with pytest.raises(TrainingStopped, match="epoch 1 of 4"):
        fit(
            build_small_network(),
            recipe=RECIPE,
            train=TRAIN,
            validation=VALIDATION,
            seed=1,
            progress=[].append,
            should_stop=lambda: next(answers),
        )
    assert next(answers, "asked three times") == "asked three times"


def test_every_epoch_reports_its_figures_at_its_end() -> None:
    reports: list[TrainingProgress] = []
    result = run(build_small_network(), recipe=dataclasses.replace(RECIPE, epochs=2), reports=reports)
    ends = [report for report in reports if report.step == report.steps]
    assert [(report.epoch, report.epochs, report.steps) for report in ends] == [(1, 2, 10), (2, 2, 10)]
    assert [dict(report.metrics) for report in ends] == list(result.history)


def test_the_rate_rises_and_falls_once() -> None:
    assert one_cycle_factor(0.0) == pytest.approx(0.1)
    assert one_cycle_factor(0.2) == pytest.approx(1.0)
    assert one_cycle_factor(1.0) == pytest.approx(0.001)
    factors = [one_cycle_factor(share) for share in np.linspace(0, 1, 101)]
    peak = int(np.argmax(factors))
    assert peak == 20
    assert factors[:peak] == sorted(factors[:peak])
    assert factors[peak:] == sorted(factors[peak:], reverse=True)


def test_a_frozen_backbone_keeps_weights_and_statistics() -> None:
    spec = NetworkSpec(input_size=28, network_size=32, alpha=0.35, dropout=0.2, mean=70.0, standard_deviation=90.0)
    network = build_seeded_network(spec, seed=1, weights=None, frozen=True)
    learning = ["logits/bias", "logits/kernel", "projection/bias", "projection/kernel"]
    assert sorted(variable.path for variable in network.trainable_variables) == learning
    before = named_weights(network)
    network(TRAIN.pictures[:16], training=True)
    for name, value in named_weights(network).items():
        np.testing.assert_array_equal(value, before[name])


def test_the_seed_decides_random_weights() -> None:
    spec = NetworkSpec(input_size=28, network_size=32, alpha=0.35, dropout=0.2, mean=70.0, standard_deviation=90.0)
    first, again, other = (build_seeded_network(spec, seed=seed, weights=None) for seed in (1, 1, 2))
    assert content_sha256(first) == content_sha256(again)
    assert content_sha256(first) != content_sha256(other)

"""The average of the weights while a network learns."""

import dataclasses
from contextlib import suppress
from typing import cast

import keras
import numpy as np
import pytest

from classifier.ml.network.architecture import named_weights
from classifier.ml.network.training import WeightAverage, fit, score
from tests.ml.network.test_training import RECIPE, TRAIN, VALIDATION, build_small_network


def fill(network: keras.Model, value: float) -> None:
    for variable in network.variables:
        variable.assign(np.full(variable.shape, value, dtype=np.float32))


def values(weights: object) -> set[float]:
    arrays = cast("dict[str, np.ndarray]", weights).values()
    return {float(value) for array in arrays for value in np.unique(array)}


def test_it_moves_fast_at_first_and_then_by_the_decay_of_its_steps() -> None:
    # Given weights that begin at 0 and stay at 1 afterwards,
    network = build_small_network()
    fill(network, 0.0)
    average = WeightAverage(network, decay=0.5)
    fill(network, 1.0)
    # when they are taken in twice,
    average.update()
    average.update()
    # then the share of the beginning that is left is at most 1/10 and 2/11, and here 0.5 ** 5 of five steps.
    with average.in_network() as weights:
        assert sorted(values(weights)) == pytest.approx([1 - 0.5**5 * 0.5**5], abs=1e-6)
    slow = WeightAverage(network, decay=0.9999)
    fill(network, 0.0)
    slow.update()
    slow.update()
    with slow.in_network() as weights:
        assert sorted(values(weights)) == pytest.approx([1 / 10 * 2 / 11], abs=1e-6)


def test_statistics_are_averaged_as_well() -> None:
    network = keras.Sequential([keras.Input((3,)), keras.layers.BatchNormalization(name="normalisation")])
    average = WeightAverage(network, decay=0.9)
    fill(network, 5.0)
    average.update()
    with average.in_network() as weights:
        moving = {name: value for name, value in weights.items() if "moving" in name}
    assert len(moving) == 2
    assert all(float(value[0]) > 4 for value in moving.values())


def test_the_networks_own_weights_come_back_even_after_an_error() -> None:
    network = build_small_network()
    average = WeightAverage(network, decay=0.9)
    fill(network, 2.0)
    with suppress(KeyError), average.in_network():
        assert values(named_weights(network)) != {2.0}
        raise KeyError
    assert values(named_weights(network)) == {2.0}


def test_a_training_judges_and_keeps_the_average() -> None:
    # Given a rate at which the weights swing,
    recipe = dataclasses.replace(RECIPE, epochs=6, learning_rate=0.5, patience=6)
    plain, averaged = build_small_network(), build_small_network()

    def train(network: keras.Model, *, ema_decay: float | None) -> list[float]:
        result = fit(
            network,
            recipe=dataclasses.replace(recipe, ema_decay=ema_decay),
            train=TRAIN,
            validation=VALIDATION,
            seed=5,
            progress=[].append,
        )
        # then what the history says of the best epoch is true of the network that is kept,
        assert score(network, part=VALIDATION, group_loss_weight=recipe.group_loss_weight)["loss"] == pytest.approx(
            result.history[result.best_epoch - 1]["validation_loss"], rel=1e-4
        )
        return [row["loss"] for row in result.history]

    # and averaging changes nothing of how the weights themselves learn.
    assert train(averaged, ema_decay=0.99) == pytest.approx(train(plain, ema_decay=None), rel=1e-4)
    assert any(not np.allclose(named_weights(plain)[name], value) for name, value in named_weights(averaged).items())

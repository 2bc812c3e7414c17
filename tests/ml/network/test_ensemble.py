"""Networks that are trained one after the other and label together."""

import dataclasses
from pathlib import Path

import keras
import numpy as np
import pytest
from ai_edge_litert.interpreter import Interpreter

from classifier.ml.artefacts import NETWORK_FILE, verify_artefact
from classifier.ml.config import NO_AUGMENTATION, Recipe
from classifier.ml.network import ensemble
from classifier.ml.network.architecture import NetworkSpec, count_parameters
from classifier.ml.network.ensemble import as_served, name_members_weights, train_ensemble
from classifier.ml.network.training import LabelledPictures, TrainingResult
from classifier.ml.types import TrainingProgress
from tests.ml.network.specs import CUT_SPEC
from tests.support.networks import build_trained_members

SPEC = dataclasses.replace(CUT_SPEC, members=2)
RECIPE = Recipe(name="pair", description="", epochs=3, members=2, augmentation=NO_AUGMENTATION)
NO_PICTURES = LabelledPictures(np.zeros((0, 28, 28, 1), dtype=np.uint8), np.zeros(0, dtype=np.int64))


def build_member(seed: int) -> keras.Model:
    """A network that says different things of a picture and of its mirror image."""
    keras.utils.set_random_seed(seed)
    seen = keras.Input((28, 28, 1), dtype="uint8")
    flat = keras.layers.Flatten()(keras.ops.cast(seen, "float32") / 255.0)
    outputs = [keras.layers.Dense(10)(flat), keras.layers.UnitNormalization()(keras.layers.Dense(32)(flat))]
    return keras.Model(seen, outputs, name="garments")


def draw_pictures(count: int) -> np.ndarray:
    return np.random.default_rng(count).integers(0, 256, (count, 28, 28, 1), dtype=np.uint8)


@pytest.mark.parametrize("batch_size", [1, 32, 250])
def test_the_serving_network_agrees_with_keras(
    tiny_members: tuple[keras.Model, ...], artefact_folder: Path, batch_size: int
) -> None:
    # Given pictures of every brightness,
    served = as_served(tiny_members)
    pictures = np.random.default_rng(batch_size).integers(0, 256, (batch_size, 28, 28, 1), dtype=np.uint8)
    expected_logits, expected_embedding = (np.asarray(value) for value in served(pictures, training=False))
    # when LiteRT runs them in one batch,
    interpreter = Interpreter(model_content=verify_artefact(artefact_folder).contents[NETWORK_FILE])
    index = interpreter.get_input_details()[0]["index"]
    interpreter.resize_tensor_input(index, pictures.shape)
    interpreter.allocate_tensors()
    interpreter.set_tensor(index, pictures)
    interpreter.invoke()
    outputs = {
        value.shape[1]: value
        for value in map(interpreter.get_tensor, [output["index"] for output in interpreter.get_output_details()])
    }
    # then both outputs are Keras' own.
    np.testing.assert_allclose(outputs[10], expected_logits, rtol=1e-3, atol=1e-3)
    np.testing.assert_allclose(outputs[64], expected_embedding, rtol=1e-3, atol=1e-4)
    assert (outputs[10].argmax(axis=1) == expected_logits.argmax(axis=1)).all()


def test_the_second_member_sees_the_mirror_image_and_the_mean_is_served() -> None:
    # Given two networks and what each says of what it is to see,
    members = [build_member(3), build_member(4)]
    pictures = draw_pictures(3)
    first = members[0].predict_on_batch(pictures)
    second = members[1].predict_on_batch(np.ascontiguousarray(pictures[:, :, ::-1]))
    assert np.abs(first[0] - second[0]).max() > 0.1
    # when they label together,
    logits, embedding = as_served(members).predict_on_batch(pictures)
    # then the logits are the mean, and the embeddings stand side by side, together of unit length,
    np.testing.assert_allclose(logits, (first[0] + second[0]) / 2, atol=1e-5)
    np.testing.assert_allclose(embedding, np.hstack([first[1], second[1]]) / np.sqrt(2), atol=1e-5)
    assert embedding.shape == (3, 64)
    # so that the likeness of two pictures is the mean of what the members say of it.
    likeness = (first[1][0] @ first[1][1] + second[1][0] @ second[1][1]) / 2
    assert embedding[0] @ embedding[1] == pytest.approx(likeness, abs=1e-5)


def test_a_single_member_is_served_as_it_is() -> None:
    member = build_member(3)
    assert as_served([member]) is member


def test_every_member_counts_as_parameters(tiny_members: tuple[keras.Model, ...]) -> None:
    together = count_parameters(as_served(tiny_members))
    assert together == sum(count_parameters(member) for member in tiny_members)
    assert len({count_parameters(member) for member in tiny_members}) == 1


def test_weights_have_the_number_of_their_member(tiny_members: tuple[keras.Model, ...]) -> None:
    weights = name_members_weights(tiny_members)
    assert {name.split("/")[0] for name in weights} == {"member_0", "member_1"}
    assert not np.allclose(weights["member_0/logits/kernel"], weights["member_1/logits/kernel"])
    again = name_members_weights(build_trained_members(SPEC, weights=weights))
    assert again.keys() == weights.keys()
    assert all(np.array_equal(again[name], value) for name, value in weights.items())


@pytest.mark.parametrize("name", ["member_2/logits/kernel", "logits/kernel"])
def test_weights_of_another_ensemble_are_refused(tiny_members: tuple[keras.Model, ...], name: str) -> None:
    weights = {**name_members_weights(tiny_members), name: np.zeros((32, 10), dtype=np.float32)}
    with pytest.raises(ValueError, match=f"expected weights of 2 members, received {name}"):
        build_trained_members(SPEC, weights=weights)


def test_members_train_from_seeds_of_their_own_and_count_on(monkeypatch: pytest.MonkeyPatch) -> None:
    # Given trainings that take two of three epochs and keep the first,
    seeds: list[int] = []

    def build(spec: NetworkSpec, *, seed: int, **rest: object) -> str:
        seeds.append(seed)
        return f"network {seed}"

    def train(network: object, *, seed: int, progress: object, **rest: object) -> TrainingResult:
        assert callable(progress)
        rows = tuple({"epoch": float(epoch), "loss": seed + epoch} for epoch in (1, 2))
        progress(TrainingProgress("features", step=1, steps=2))
        for epoch, row in zip((1, 2), rows, strict=True):
            progress(TrainingProgress("train", epoch, 3, 5, 10, {"loss": 1.0}))
            progress(TrainingProgress("train", epoch, 3, 10, 10, row))
        return TrainingResult(history=rows, best_epoch=1, seconds=2.5)

    monkeypatch.setattr(ensemble, "build_seeded_network", build)
    monkeypatch.setattr(ensemble, "train_network", train)
    reports: list[TrainingProgress] = []
    # when two members are trained,
    trained = train_ensemble(
        SPEC, recipe=RECIPE, weights=None, train=NO_PICTURES, validation=NO_PICTURES, seed=7, progress=reports.append
    )
    # then the first has the training's own seed, the second another,
    assert seeds == [7, 1_000_007]
    assert trained.members == ("network 7", "network 1000007")
    # and all epochs count on from the first member's last possible one.
    assert [row["epoch"] for row in trained.history] == [1.0, 2.0, 4.0, 5.0]
    assert trained.best_epochs == (1, 4)
    assert trained.seconds == 5.0
    counted = [(said.epoch, said.epochs, said.metrics.get("epoch")) for said in reports if said.phase == "train"]
    assert counted == [(epoch, 6, metric) for epoch in (1, 2, 4, 5) for metric in (None, float(epoch))]
    assert [(said.epoch, said.epochs, said.step) for said in reports if said.phase == "features"] == [(0, 0, 1)] * 2


def test_one_member_trains_as_if_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    seeds: list[int] = []
    monkeypatch.setattr(ensemble, "build_seeded_network", lambda spec, *, seed, **rest: seeds.append(seed))
    monkeypatch.setattr(
        ensemble, "train_network", lambda network, **rest: TrainingResult(history=(), best_epoch=0, seconds=1.0)
    )
    trained = train_ensemble(
        dataclasses.replace(SPEC, members=1),
        recipe=dataclasses.replace(RECIPE, members=1),
        weights=None,
        train=NO_PICTURES,
        validation=NO_PICTURES,
        seed=7,
        progress=[].append,
    )
    assert (seeds, len(trained.members)) == ([7], 1)

"""The second branch: what it serves is what Keras computes, reduced to its principal components."""

from pathlib import Path

import keras
import numpy as np
import pytest

from classifier.ml.inference import _ColourEngine
from classifier.ml.network.architecture import BackboneWeights
from classifier.ml.network.colour import build_colour_network, find_components
from classifier.ml.preprocessing import COLOUR_SIZE


def test_components_keep_most_of_what_differs_and_have_one_sign() -> None:
    generator = np.random.default_rng(0)
    features = (generator.normal(size=(200, 3)) @ generator.normal(size=(3, 12)) + 5).astype(np.float32)
    mean, components = find_components(features, count=3)
    assert components.shape == (12, 3)
    np.testing.assert_allclose(components.T @ components, np.eye(3), atol=1e-5)
    np.testing.assert_allclose(mean + (features - mean) @ components @ components.T, features, atol=1e-3)
    assert (components[np.abs(components).argmax(axis=0), range(3)] > 0).all()


def build_small_backbone(*, input_shape: tuple[int, int, int], name: str, **rest: object) -> keras.Model:
    """What stands for MobileNetV2: a layer that sees more than there are components."""
    given = keras.Input(input_shape)
    seen = keras.layers.Conv2D(96, 16, strides=16, activation="relu")(given)
    return keras.Model(given, keras.layers.GlobalAveragePooling2D()(seen), name=name)


def test_the_branch_serves_the_components_of_what_the_backbone_sees(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    backbone = build_small_backbone(input_shape=(COLOUR_SIZE, COLOUR_SIZE, 3), name="backbone")
    backbone.save_weights(tmp_path / "random.weights.h5")
    monkeypatch.setattr(keras.applications, "MobileNetV2", build_small_backbone)
    pictures = np.random.default_rng(1).integers(0, 256, (66, COLOUR_SIZE, COLOUR_SIZE, 3), dtype=np.uint8)
    weights = BackboneWeights(tmp_path / "random.weights.h5", sha256="", content_sha256=None)
    served = _ColourEngine(build_colour_network(pictures, weights=weights)).run(pictures[:4])
    features = backbone.predict(pictures / np.float32(127.5) - 1, batch_size=64, verbose=0)
    mean, components = find_components(features, count=64)
    expected = (features[:4] - mean) @ components
    expected /= np.linalg.norm(expected, axis=1, keepdims=True)
    # Random weights see little that differs, so that the last components are mostly rounding.
    np.testing.assert_allclose(np.abs((served * expected).sum(axis=1)), 1.0, atol=0.05)


def test_too_few_pictures_choose_nothing() -> None:
    weights = BackboneWeights(Path("none"), sha256="", content_sha256=None)
    with pytest.raises(ValueError, match="more than 64"):
        build_colour_network(np.zeros((64, COLOUR_SIZE, COLOUR_SIZE, 3), np.uint8), weights=weights)

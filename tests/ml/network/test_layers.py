"""The layers that learn faster give what Keras' own layers give."""

from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf

from classifier.ml.network.architecture import named_weights
from classifier.ml.network.layers import with_faster_layers


def build_twins() -> tuple[keras.Model, keras.Model]:
    """A network of Keras' layers with random statistics, and its copy of faster layers."""
    keras.utils.set_random_seed(3)
    pictures = keras.Input((None, None, 3))
    value = keras.layers.Conv2D(6, 3, strides=2, use_bias=False, name="stem")(pictures)
    value = keras.layers.BatchNormalization(momentum=0.9, epsilon=1e-3, name="stem_norm")(value)
    value = keras.layers.Conv2D(4, 1, use_bias=False, name="project")(keras.layers.ReLU(6.0)(value))
    value = keras.layers.BatchNormalization(momentum=0.9, epsilon=1e-3, name="project_norm")(value)
    network = keras.Model(pictures, keras.layers.GlobalAveragePooling2D()(value), name="net")
    generator = np.random.default_rng(5)
    network.set_weights([generator.uniform(0.3, 1.5, weight.shape) for weight in network.get_weights()])
    return network, with_faster_layers(network)


def learn(network: keras.Model, pictures: Any) -> tuple[Any, list[Any]]:
    with tf.GradientTape() as tape:
        output = network(pictures, training=True)
        # A loss that weighs every output differently, so that no gradient cancels.
        loss = tf.reduce_sum(tf.sin(output) * np.arange(1.0, 21.0, dtype=np.float32).reshape(5, 4))
    return output, tape.gradient(loss, network.trainable_variables)


def test_output_gradients_and_statistics_are_those_of_keras() -> None:
    slow, fast = build_twins()
    pictures = tf.random.stateless_normal((5, 9, 11, 3), seed=(1, 2), mean=1.5)
    (expected, expected_gradients), (output, gradients) = learn(slow, pictures), learn(fast, pictures)
    np.testing.assert_allclose(output, expected, rtol=1e-4, atol=1e-5)
    for variable, ours, theirs in zip(slow.trainable_variables, gradients, expected_gradients, strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=1e-3, atol=1e-4, err_msg=variable.path)
    for name, value in named_weights(slow).items():
        np.testing.assert_allclose(named_weights(fast)[name], value, rtol=1e-5, atol=1e-5, err_msg=name)
    assert any(not np.allclose(a, b) for a, b in zip(build_twins()[0].get_weights(), fast.get_weights(), strict=True))


@pytest.mark.parametrize("frozen", [False, True])
def test_a_network_that_does_not_learn_uses_the_moving_statistics(frozen: bool) -> None:
    slow, fast = build_twins()
    fast.trainable = not frozen
    pictures = tf.random.stateless_normal((2, 8, 8, 3), seed=(3, 4))
    before = fast.get_weights()
    output = fast(pictures, training=frozen)
    np.testing.assert_allclose(output, slow(pictures, training=False), rtol=1e-5, atol=1e-6)
    for now, then in zip(fast.get_weights(), before, strict=True):
        np.testing.assert_array_equal(now, then)


def test_names_and_weights_are_copied_and_the_original_is_not_changed() -> None:
    slow, fast = build_twins()
    assert list(named_weights(fast)) == list(named_weights(slow))
    for name, value in named_weights(slow).items():
        np.testing.assert_array_equal(named_weights(fast)[name], value)
    assert type(slow.get_layer("project")) is keras.layers.Conv2D
    assert type(fast.get_layer("project")) is not keras.layers.Conv2D

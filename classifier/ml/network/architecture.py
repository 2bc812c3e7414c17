"""The network: Fashion-MNIST's form in, ten logits and an embedding out. The architecture lives here and nowhere else.

Scaling, standardisation and enlargement are inside the network, so that whoever runs it needs no statistics.
"""

import hashlib
import logging
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any, Final, Self

import numpy as np
from numpy.typing import NDArray

from classifier.ml.config import IMAGENET, NO_WEIGHTS, ConfigurationError, Recipe, name_imagenet_file
from classifier.ml.labels import GARMENTS
from classifier.ml.types import EMBEDDING_SIZE
from config.packages import TRAINS_NETWORKS, describe_missing

try:
    import keras
    import tensorflow as tf
except ModuleNotFoundError as error:
    raise ConfigurationError(describe_missing(TRAINS_NETWORKS)) from error

logger = logging.getLogger(__name__)

#: Keras' default of 0.999 follows the statistics over a thousand steps; a short training ends before they arrive.
_BATCH_NORM_MOMENTUM: Final = 0.99
_KERAS_URL: Final = "https://storage.googleapis.com/tensorflow/keras-applications/mobilenet_v2/"


#: alpha -> ``content_sha256`` of a backbone filled with Keras' published ``..._224_no_top`` weights. The content is
#: pinned and not the file, because the same numbers travel in both of Keras' HDF5 formats.
IMAGENET_CONTENT_SHA256: Final[Mapping[float, str]] = MappingProxyType(
    {0.35: "b9585f4d3181b458a6b423af3828fd797589e942b7be27910d5c054254818ead"}
)


class BackboneWeightsError(Exception):
    """The backbone's weights cannot be had or do not fit; the message says what was tried and what to do."""


@dataclass(frozen=True, slots=True)
class NetworkSpec:
    """Everything that the architecture depends on.

    ``input_size`` is the side of the uint8[N, size, size, 1] input, ``network_size`` that of the backbone's input.
    ``mean`` and ``standard_deviation`` (0..255) are those of the pictures trained on, in canonical form.
    ``last_layer`` names the layer of MobileNetV2 after which the backbone ends; None is the whole. ``members`` is the
    number of such networks that label together (`classifier.ml.network.ensemble`).
    """

    input_size: int
    network_size: int
    alpha: float
    dropout: float
    mean: float
    standard_deviation: float
    last_layer: str | None = None
    members: int = 1

    @property
    def embedding_size(self) -> int:
        """The numbers of one member's embedding; those of all members are ``EMBEDDING_SIZE``."""
        return EMBEDDING_SIZE // self.members

    @classmethod
    def for_recipe(cls, recipe: Recipe, *, mean: float, standard_deviation: float) -> Self:
        """The network that a recipe asks for, standardised by the given statistics (0..255)."""
        return cls(
            input_size=recipe.preprocessing.size,
            network_size=recipe.network_size,
            alpha=recipe.alpha,
            dropout=recipe.dropout,
            mean=mean,
            standard_deviation=standard_deviation,
            last_layer=recipe.last_layer,
            members=recipe.members,
        )


@dataclass(frozen=True, slots=True)
class BackboneWeights:
    """A file of backbone weights: where it is, the SHA-256 of its bytes, and the pinned one of its content, if any."""

    path: Path
    sha256: str
    content_sha256: str | None


def build_backbone(spec: NetworkSpec) -> keras.Model:
    """The whole of MobileNetV2 but its head, randomly initialised: float32[N, H, W, 3] in -1..1 -> float32[N, 1280].

    It takes any size from 32 pixels, so that a training may begin with small pictures.
    """
    backbone = keras.applications.MobileNetV2(
        input_shape=(None, None, 3),
        alpha=spec.alpha,
        include_top=False,
        weights=None,
        pooling="avg",
        name="backbone",
    )
    for layer in backbone.layers:
        if isinstance(layer, keras.layers.BatchNormalization):
            layer.momentum = _BATCH_NORM_MOMENTUM
    return backbone


def cut_backbone(backbone: keras.Model, *, last_layer: str | None) -> keras.Model:
    """The backbone up to and including the named layer, pooled to float32[N, C]; the whole one for None.

    Raises ``ValueError`` when MobileNetV2 has no layer of that name.
    """
    if last_layer is None:
        return backbone
    pooled = keras.layers.GlobalAveragePooling2D()(backbone.get_layer(last_layer).output)
    return keras.Model(backbone.input, pooled, name=backbone.name)


def build_network(
    spec: NetworkSpec, *, backbone: keras.Model | None = None, trained: keras.Model | None = None
) -> keras.Model:
    """The whole network: uint8[N, size, size, 1] -> [logits float32[N, 10], embedding float32[N, E] of unit length].

    The logits are a linear function of the embedding before it is scaled to unit length, so that pictures with
    neighbouring embeddings get similar labels. ``backbone`` uses an existing backbone; ``trained`` shares all layers
    that learn with a network that was built before, at another ``network_size``.
    """
    if trained is not None:
        backbone = trained.get_layer("backbone")
    pictures = keras.Input((spec.input_size, spec.input_size, 1), dtype="uint8", name="pictures")
    value = keras.ops.cast(pictures, "float32")
    value = keras.layers.Rescaling(1.0 / spec.standard_deviation, -spec.mean / spec.standard_deviation)(value)
    value = keras.layers.Resizing(spec.network_size, spec.network_size, interpolation="bilinear")(value)
    value = keras.layers.Concatenate(name="concatenate")([value, value, value])
    if backbone is None:
        backbone = cut_backbone(build_backbone(spec), last_layer=spec.last_layer)
    features = backbone(value)
    return keras.Model(pictures, _add_head(features, spec=spec, trained=trained), name="garments")


def split_network(network: keras.Model, *, spec: NetworkSpec) -> tuple[keras.Model, keras.Model]:
    """The network cut in two that share its layers: pictures -> features float32[N, 1280], features -> outputs."""
    features = network.get_layer("backbone")(network.get_layer("concatenate").output)
    given = keras.Input((features.shape[-1],), name="features")
    head = keras.Model(given, _add_head(given, spec=spec, trained=network), name="head")
    return keras.Model(network.input, features, name="features"), head


def _add_head(features: Any, *, spec: NetworkSpec, trained: keras.Model | None) -> list[Any]:
    def layer(name: str, width: int) -> keras.layers.Layer:
        return trained.get_layer(name) if trained is not None else keras.layers.Dense(width, name=name)

    projection = layer("projection", spec.embedding_size)(keras.layers.Dropout(spec.dropout)(features))
    logits = layer("logits", len(GARMENTS))(projection)
    return [logits, keras.layers.UnitNormalization(name="embedding")(projection)]


def named_weights(network: keras.Model) -> dict[str, NDArray[np.float32]]:
    """Every weight of the network by a name that depends on the architecture only, statistics included."""
    return {name: np.asarray(variable) for name, variable in _variables_by_name(network).items()}


def assign_weights(network: keras.Model, *, weights: Mapping[str, NDArray[np.float32]]) -> None:
    """Load named weights into a network of the same architecture.

    Raises ``ValueError`` when a name is missing or unknown or a shape differs; nothing is assigned then.
    """
    variables = _variables_by_name(network)
    if set(variables) != set(weights):
        missing, unknown = set(variables) - set(weights), set(weights) - set(variables)
        raise ValueError(f"expected the network's {len(variables)} weights; missing {missing}, unknown {unknown}")
    for name, variable in variables.items():
        if tuple(variable.shape) != weights[name].shape:
            raise ValueError(f"expected {name} of shape {tuple(variable.shape)}, received {weights[name].shape}")
    for name, variable in variables.items():
        variable.assign(weights[name])


def count_parameters(network: keras.Model) -> int:
    """The number of learnt numbers, without the statistics of batch normalisation, as the published tables count."""
    statistics = sum(
        int(np.prod(variable.shape))
        for layer in network._flatten_layers()
        if isinstance(layer, keras.layers.BatchNormalization)
        for variable in (layer.moving_mean, layer.moving_variance)
    )
    return int(network.count_params()) - statistics


def to_serving_network(network: keras.Model) -> bytes:
    """The network as a LiteRT flat buffer of float32 weights, for batches of any size."""
    shape = (None, *network.input_shape[1:])

    @tf.function(input_signature=[tf.TensorSpec(shape, tf.uint8, name="pictures")])
    def serve(pictures: tf.Tensor) -> dict[str, tf.Tensor]:
        outputs = network(pictures, training=False)
        return dict(zip(network.output_names, outputs if isinstance(outputs, list) else [outputs], strict=True))

    # The converter freezes only variables that a TensorFlow module tracks; Keras' own wrapper hides them from it,
    # and the flat buffer would come out without weights.
    tracked = tf.Module()
    tracked.values = [variable.value for variable in network.variables]
    converter = tf.lite.TFLiteConverter.from_concrete_functions([serve.get_concrete_function()], tracked)
    return bytes(converter.convert())


def find_backbone_weights(source: str, *, alpha: float) -> BackboneWeights | None:
    """The file behind ``--backbone-weights``: "imagenet", "none" (no file) or a path.

    "imagenet" is the file that the environment variable BACKBONE_WEIGHTS names, else Keras' download; its content is
    pinned, that of a path is not. Raises ``BackboneWeightsError`` when there is no such file.
    """
    if source == NO_WEIGHTS:
        return None
    if source != IMAGENET:
        return _existing_file(Path(source), origin="--backbone-weights", content_sha256=None)
    pinned = IMAGENET_CONTENT_SHA256.get(alpha)
    if pinned is None:
        raise BackboneWeightsError(
            f"expected an alpha with pinned ImageNet weights ({', '.join(map(str, IMAGENET_CONTENT_SHA256))}), "
            f"received {alpha}; name a file with --backbone-weights, or start from none"
        )
    setting = os.environ.get("BACKBONE_WEIGHTS")
    if setting and setting != NO_WEIGHTS:
        return _existing_file(Path(setting), origin="BACKBONE_WEIGHTS", content_sha256=pinned)
    return _existing_file(_download_imagenet(alpha), origin="the Keras cache", content_sha256=pinned)


def load_backbone_weights(backbone: keras.Model, *, weights: BackboneWeights) -> None:
    """Fill a backbone from a file in either of Keras' HDF5 weight formats.

    Raises ``BackboneWeightsError`` when the file does not fit, or holds other numbers than the pinned ones.
    """
    try:
        backbone.load_weights(weights.path)
    except (OSError, ValueError, KeyError) as error:
        raise BackboneWeightsError(
            f"{weights.path.name} (SHA-256 {weights.sha256}) does not hold the weights of this backbone: {error}"
        ) from error
    actual = content_sha256(backbone)
    if weights.content_sha256 not in (None, actual):
        raise BackboneWeightsError(
            f"{weights.path.name} does not hold the published ImageNet weights: expected SHA-256 "
            f"{weights.content_sha256} of their content, received {actual}"
        )
    logger.info("loaded backbone weights %s, SHA-256 %s", weights.path.name, weights.sha256)


def content_sha256(network: keras.Model) -> str:
    """The SHA-256 of a network's numbers: names, shapes and little-endian float32 in the order of the names."""
    digest = hashlib.sha256()
    for name, value in sorted(named_weights(network).items()):
        digest.update(f"{name} {value.shape}".encode())
        digest.update(np.ascontiguousarray(value, dtype="<f4").tobytes())
    return digest.hexdigest()


def _existing_file(path: Path, *, origin: str, content_sha256: str | None) -> BackboneWeights:
    if not path.is_file():
        raise BackboneWeightsError(f"expected a file of MobileNetV2 weights in {origin}, found none at {path}")
    return BackboneWeights(
        path=path, sha256=hashlib.sha256(path.read_bytes()).hexdigest(), content_sha256=content_sha256
    )


def _variables_by_name(network: keras.Model) -> dict[str, Any]:
    variables = {variable.path: variable for variable in network.weights}
    if len(variables) != len(network.weights):
        raise ValueError("expected every weight of the network to have a name of its own")
    return variables


def _download_imagenet(alpha: float) -> Path:
    name = name_imagenet_file(alpha)
    try:
        return Path(keras.utils.get_file(name, _KERAS_URL + name, cache_subdir="models"))
    except Exception as error:  # get_file wraps every network error in a bare Exception
        raise BackboneWeightsError(
            f"{name} could not be downloaded from {_KERAS_URL}: {error}. Name a file with BACKBONE_WEIGHTS or "
            "--backbone-weights, or train from random weights with --backbone-weights none"
        ) from error

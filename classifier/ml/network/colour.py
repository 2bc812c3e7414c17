"""The second branch of a base: ImageNet's MobileNetV2 in colour, and a linear reduction of what it sees.

Nothing is trained. The reduction is the principal components of what the branch sees in pictures that nobody labelled,
and part of the serving network.
"""

from typing import Final

import keras
import numpy as np
from numpy.typing import NDArray

from classifier.ml.network.architecture import BackboneWeights, load_backbone_weights, to_serving_network
from classifier.ml.preprocessing import COLOUR_SIZE
from classifier.ml.types import COLOUR_FEATURES

#: Wider ones say more and take longer: 1.0 in place of 0.35 is a point on photographs, for six times the time.
COLOUR_ALPHA: Final = 0.35
_BATCH_SIZE: Final = 64


def build_colour_network(pictures: NDArray[np.uint8], *, weights: BackboneWeights) -> bytes:
    """The branch as a LiteRT flat buffer: uint8[N, 128, 128, 3] -> features float32[N, 64] of unit length.

    ``pictures`` uint8[M, 128, 128, 3] choose the components. Raises ``BackboneWeightsError`` for weights that do not
    fit, and ``ValueError`` for fewer pictures than components.
    """
    if len(pictures) <= COLOUR_FEATURES:
        raise ValueError(
            f"expected more than {COLOUR_FEATURES} pictures to choose components, received {len(pictures)}"
        )
    backbone = keras.applications.MobileNetV2(
        input_shape=(COLOUR_SIZE, COLOUR_SIZE, 3),
        alpha=COLOUR_ALPHA,
        include_top=False,
        weights=None,
        pooling="avg",
        name="backbone",
    )
    load_backbone_weights(backbone, weights=weights)
    given = keras.Input((COLOUR_SIZE, COLOUR_SIZE, 3), dtype="uint8", name="pictures")
    seen = backbone(keras.layers.Rescaling(1 / 127.5, -1.0)(keras.ops.cast(given, "float32")), training=False)
    features = keras.Model(given, seen).predict(pictures, batch_size=_BATCH_SIZE, verbose=0)
    mean, components = find_components(features, count=COLOUR_FEATURES)
    reduction = keras.layers.Dense(COLOUR_FEATURES, name="reduction")
    reduced = keras.layers.UnitNormalization(name="features")(reduction(seen))
    reduction.set_weights([components, -mean @ components])
    return to_serving_network(keras.Model(given, reduced, name="colour"))


def find_components(features: NDArray[np.float32], *, count: int) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """The mean float32[F] and the first principal components float32[F, count] of features float32[N, F].

    Of each component the largest number is positive, so that the same features give the same components anywhere.
    """
    mean = features.mean(axis=0, dtype=np.float64)
    covariance = np.cov(features.astype(np.float64), rowvar=False)
    components = np.linalg.eigh(covariance)[1][:, ::-1][:, :count]
    largest = components[np.abs(components).argmax(axis=0), np.arange(count)]
    return mean.astype(np.float32), (components * np.sign(largest)).astype(np.float32)

"""Networks made again of their weights; Keras is loaded with this module."""

from collections.abc import Mapping

import keras
import numpy as np
from numpy.typing import NDArray

from classifier.ml.network.architecture import NetworkSpec, assign_weights, build_network
from classifier.ml.network.ensemble import split_by_member


def build_trained_members(spec: NetworkSpec, *, weights: Mapping[str, NDArray[np.float32]]) -> tuple[keras.Model, ...]:
    """The members of an ensemble, with the weights that ``name_members_weights`` gave of them.

    Raises ``ValueError`` when weights are missing or unknown, or of another shape.
    """
    members = []
    for part in split_by_member(weights, members=spec.members):
        members.append(build_network(spec))
        assign_weights(members[-1], weights=part)
    return tuple(members)

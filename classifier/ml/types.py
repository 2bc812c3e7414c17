"""The values that pass between the stages, and the protocol that everything outside this package relies on."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final, Protocol

import numpy as np
from numpy.typing import NDArray

#: The numbers of an embedding.
EMBEDDING_SIZE: Final = 64
#: The numbers that are left of what the second branch of a base sees in a picture in colour.
COLOUR_FEATURES: Final = 64
#: How features are stored: half precision, little-endian.
FEATURE_TYPE: Final = np.dtype("<f2")
#: Pictures of any kind: uint8, H x W x 3 (RGB), H x W (grey), or H x W x 4 (RGB on a ground, and opacities).
Picture = NDArray[np.uint8]


@dataclass(frozen=True, slots=True)
class Features:
    """What a base saw in one picture, as it is stored: facts, from which the heads' answers follow.

    ``numbers`` are its features and ``logits`` ten numbers, the mean of members and views, both bytes of
    ``FEATURE_TYPE``. The cosine of two pictures' features is how alike they look. ``canonical`` says that the picture
    was in canonical form already, ``views`` how many views of it were looked at, and ``test_form`` that its form is
    that of one of Fashion-MNIST's test pictures.
    """

    numbers: bytes
    logits: bytes
    blank: bool
    canonical: bool
    views: int
    test_form: bool = False

    @property
    def may_teach(self) -> bool:
        """Whether a head may learn of it: of no picture in canonical form, for which none answers, nor of the test."""
        return not (self.canonical or self.test_form)


@dataclass(frozen=True, slots=True)
class Prediction:
    """What a classifier says of one picture.

    ``confidence`` is the calibrated probability of ``group`` and lies in 0..1, as do both tables, whose keys are
    the names in ``labels``. ``abstained`` is a flag beside the label, never instead of it; ``garment_unsure`` says
    that the group may stand, but the garment within it is not sure. ``features`` are what it follows from.
    ``none_probability`` is how likely the picture shows none of the groups, 0 where nothing taught that; the others are
    what holds if it shows one.
    """

    group: str
    garment: str
    confidence: float
    abstained: bool
    group_probabilities: Mapping[str, float]
    garment_probabilities: Mapping[str, float]
    features: Features = field(repr=False)
    garment_unsure: bool = False
    none_probability: float = 0.0


class ImageClassifier(Protocol):
    """Anything that labels pictures: the artefact's classifier, or a fake one in a test."""

    def classify(self, pictures: Sequence[Picture]) -> list[Prediction]:
        """One prediction for each picture, in the same order."""


@dataclass(frozen=True, slots=True)
class TrainingProgress:
    """How far a training has come.

    ``phase`` is "load", "features", "train", "calibrate", "evaluate" or "save". ``step`` counts from 0 to ``steps``
    within ``epoch``, which counts from 1 to ``epochs``; phases without epochs report 0 of 0. ``metrics`` holds what
    is known by now, such as ``loss`` and ``validation_accuracy``.
    """

    phase: str
    epoch: int = 0
    epochs: int = 0
    step: int = 0
    steps: int = 0
    metrics: Mapping[str, float] = field(default_factory=dict)


ProgressCallback = Callable[[TrainingProgress], None]

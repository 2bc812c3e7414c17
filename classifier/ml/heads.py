"""What follows from features: the answers of a version's heads. NumPy alone; no network is loaded for them."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Self

import numpy as np
import safetensors
import safetensors.numpy
from numpy.typing import NDArray

from classifier.ml.artefacts import HEADS_FILE, ArtefactFormatError, VerifiedArtefact
from classifier.ml.judging.calibration import Calibration, Judgement, softmax
from classifier.ml.labels import GARMENTS, GROUP_INDEX_OF_GARMENT, GROUPS, garments_within_groups, group_probabilities
from classifier.ml.types import FEATURE_TYPE, Features, Prediction

_WEIGHTS: Final = "groups/weights"
_BIAS: Final = "groups/bias"


@dataclass(frozen=True, slots=True)
class SeenPictures:
    """What a base saw in N pictures, in half precision, as it is stored.

    ``features`` is float16[N, F], ``logits`` float16[N, 10]; ``blank``, ``canonical`` and ``views`` are N values each.
    """

    features: NDArray[np.float16]
    logits: NDArray[np.float16]
    blank: NDArray[np.bool_]
    canonical: NDArray[np.bool_]
    views: NDArray[np.uint8]

    @classmethod
    def of(cls, pictures: Sequence[Features]) -> Self:
        """The pictures' features side by side. Raises ``ValueError`` unless all have the same number of them."""
        count = len(pictures)
        return cls(
            features=np.frombuffer(b"".join(each.numbers for each in pictures), FEATURE_TYPE).reshape(count, -1),
            logits=np.frombuffer(b"".join(each.logits for each in pictures), FEATURE_TYPE).reshape(count, -1),
            blank=np.array([each.blank for each in pictures], dtype=bool),
            canonical=np.array([each.canonical for each in pictures], dtype=bool),
            views=np.array([each.views for each in pictures], dtype=np.uint8),
        )

    def split(self) -> list[Features]:
        """The features of each picture."""
        return [
            Features(numbers=numbers.tobytes(), logits=logits.tobytes(), blank=blank, canonical=canonical, views=views)
            for numbers, logits, blank, canonical, views in zip(
                self.features.astype(FEATURE_TYPE, copy=False),
                self.logits.astype(FEATURE_TYPE, copy=False),
                self.blank.tolist(),
                self.canonical.tolist(),
                self.views.tolist(),
                strict=True,
            )
        ]


@dataclass(frozen=True, slots=True)
class GroupHead:
    """A linear head for the groups of photographs: weights float32[F, 5] on features, bias float32[5]."""

    weights: NDArray[np.float32]
    bias: NDArray[np.float32]

    def __post_init__(self) -> None:
        if self.weights.ndim != 2 or self.weights.shape[1] != len(GROUPS) or self.bias.shape != (len(GROUPS),):
            raise ValueError(
                f"expected weights of (F, {len(GROUPS)}) and a bias of ({len(GROUPS)},), received {self.weights.shape} "
                f"and {self.bias.shape}"
            )

    def probabilities(self, features: NDArray[np.floating]) -> NDArray[np.float64]:
        """The probability of each group, float64[N, 5], for features float[N, F]."""
        return softmax(features.astype(np.float64) @ self.weights + self.bias)

    def to_bytes(self) -> bytes:
        """The file that an artefact keeps."""
        return safetensors.numpy.save({_WEIGHTS: self.weights, _BIAS: self.bias})

    @classmethod
    def from_bytes(cls, content: bytes) -> Self:
        """The head of a file. Raises ``ValueError`` for anything else."""
        try:
            numbers = safetensors.numpy.load(content)
            weights, bias = numbers[_WEIGHTS], numbers[_BIAS]
        except (KeyError, safetensors.SafetensorError) as error:
            raise ValueError(f"expected {_WEIGHTS} and {_BIAS}: {error}") from error
        if not all(array.dtype == np.float32 and np.isfinite(array).all() for array in (weights, bias)):
            raise ValueError("expected finite numbers in single precision")
        return cls(weights, bias)


@dataclass(frozen=True, slots=True)
class Heads:
    """What answers for a version from features: its calibration, and a head for photographs if it has one."""

    calibration: Calibration
    photographs: GroupHead | None = None


def read_heads(artefact: VerifiedArtefact) -> Heads:
    """The heads of a verified artefact. Raises ``ArtefactFormatError`` for a file that holds none."""
    content = artefact.contents.get(HEADS_FILE)
    try:
        photographs = GroupHead.from_bytes(content) if content is not None else None
    except ValueError as error:
        raise ArtefactFormatError(f"{HEADS_FILE} of {artefact.manifest.version}: {error}") from error
    return Heads(artefact.manifest.calibration_values(), photographs)


def within_groups(garments: NDArray[np.float64], *, groups: NDArray[np.float64]) -> NDArray[np.float64]:
    """Garment probabilities float64[N, 10] with these sums over groups float64[N, 5], the shares within as before."""
    before = group_probabilities(garments)
    return np.asarray(garments * (groups / np.maximum(before, 1e-12))[:, GROUP_INDEX_OF_GARMENT])


def _judge_photographs(judged: Judgement, *, seen: SeenPictures, heads: Heads, head: GroupHead) -> Judgement:
    """The judgement with the groups of photographs as the head says, and their garments' shares as they were."""
    photographs = np.flatnonzero(~seen.canonical)
    said = head.probabilities(seen.features[photographs])
    garments = judged.garment_probabilities.copy()
    garments[photographs] = within_groups(garments[photographs], groups=said)
    predicted, confidence = said.argmax(axis=1), said.max(axis=1, initial=0.0)
    threshold = np.array([heads.calibration.thresholds[name] for name in GROUPS])[predicted]
    within = garments_within_groups(garments[photographs], groups=predicted)
    abstained, garment_unsure = judged.abstained.copy(), judged.garment_unsure.copy()
    abstained[photographs] = (confidence < threshold) | seen.blank[photographs]
    garment_unsure[photographs] = garments[photographs, within] < heads.calibration.garment_threshold * confidence
    return Judgement(garments, abstained, garment_unsure)


def predict(seen: SeenPictures, *, heads: Heads) -> list[Prediction]:
    """What the heads say of pictures, the same whether their features were computed just now or read from a table.

    Pictures in which nothing is to be seen get a label all the same, and abstain. Raises ``ValueError`` where a head
    takes another number of features.
    """
    judged = heads.calibration.judge(
        seen.logits.astype(np.float32),
        features=seen.features.astype(np.float32),
        photograph=~seen.canonical,
        blank=seen.blank,
    )
    if heads.photographs is not None:
        judged = _judge_photographs(judged, seen=seen, heads=heads, head=heads.photographs)
    garments = judged.garment_probabilities
    groups = group_probabilities(garments)
    predicted = groups.argmax(axis=1)
    within = garments_within_groups(garments, groups=predicted)
    return [
        Prediction(
            group=GROUPS[group],
            garment=GARMENTS[garment],
            confidence=group_row[group],
            abstained=abstains,
            group_probabilities=dict(zip(GROUPS, group_row, strict=True)),
            garment_probabilities=dict(zip(GARMENTS, garment_row, strict=True)),
            features=features,
            garment_unsure=unsure,
        )
        for group, garment, abstains, unsure, group_row, garment_row, features in zip(
            predicted.tolist(),
            within.tolist(),
            judged.abstained.tolist(),
            judged.garment_unsure.tolist(),
            groups.tolist(),
            garments.tolist(),
            seen.split(),
            strict=True,
        )
    ]

"""How good labels are: recall, precision and negative predictive value per group, calibration error. NumPy only."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from classifier.ml.labels import GROUPS, garments_within_groups, group_probabilities

CALIBRATION_BINS: Final = 15


@dataclass(frozen=True, slots=True)
class GroupScores:
    """One row of the published tables; each figure lies in 0..1 and is 0 where it is not defined."""

    recall: float
    precision: float
    negative_predictive_value: float


@dataclass(frozen=True, slots=True)
class Metrics:
    """The figures of one evaluation that depend on the labels alone.

    ``balanced`` is None where no balanced operating point was given. ``garment_accuracy`` is None where only groups
    are known. Accuracy, macro F1 and calibration error are those of the argmax operating point.
    """

    images: int
    accuracy: float
    balanced_accuracy: float
    macro_f1: float
    garment_accuracy: float | None
    expected_calibration_error: float
    argmax: Mapping[str, GroupScores]
    balanced: Mapping[str, GroupScores]
    answered: float
    accuracy_of_answered: float

    def to_json(self) -> dict[str, Any]:
        """The figures under the names of the evaluation report."""
        argmax = {name: asdict(scores) for name, scores in self.argmax.items()}
        balanced = {name: asdict(scores) for name, scores in self.balanced.items()}
        return {
            "images": self.images,
            "accuracy": self.accuracy,
            "balanced_accuracy": self.balanced_accuracy,
            "macro_f1": self.macro_f1,
            "garment_accuracy": self.garment_accuracy,
            "expected_calibration_error": self.expected_calibration_error,
            "answered": self.answered,
            "accuracy_of_answered": self.accuracy_of_answered,
            "groups": argmax,
            "operating_points": {"argmax": argmax, "balanced": balanced},
        }


@dataclass(frozen=True, slots=True)
class EvaluationReport:
    """The result of ``evaluate_classifier``: the figures, and what the artefact costs.

    ``seconds`` runs from pictures in memory to labels.
    """

    model_version: str
    metrics: Metrics
    parameters: int
    artefact_bytes: int
    seconds: float

    def to_json(self) -> dict[str, Any]:
        """The report as one JSON document."""
        return {
            "model_version": self.model_version,
            **self.metrics.to_json(),
            "parameters": self.parameters,
            "artefact_bytes": self.artefact_bytes,
            "seconds": self.seconds,
            "images_per_second": self.metrics.images / self.seconds if self.seconds else 0.0,
        }


def measure(
    probabilities: NDArray[np.floating],
    *,
    groups: NDArray[np.integer],
    garments: NDArray[np.integer] | None,
    balanced_groups: NDArray[np.integer],
    abstained: NDArray[np.bool_],
) -> Metrics:
    """The figures for garment probabilities float[N, 10] against the true groups int[N], and garments where known.

    ``balanced_groups`` int[N] are the groups predicted at the balanced operating point; ``abstained`` bool[N]. Raises
    ``ValueError`` when the lengths differ or nothing was given.
    """
    lengths = {len(probabilities), len(groups), len(balanced_groups), len(abstained)}
    if len(lengths) != 1 or 0 in lengths:
        raise ValueError(f"expected the same positive number of probabilities and labels, received {sorted(lengths)}")
    summed = group_probabilities(probabilities)
    predicted, confidence = summed.argmax(axis=1), summed.max(axis=1)
    right = predicted == groups
    scores = group_scores(predicted, truth=groups)
    present = [scores[name] for index, name in enumerate(GROUPS) if np.any(groups == index)]
    garment_accuracy = None
    if garments is not None:
        within = garments_within_groups(probabilities, groups=predicted)
        garment_accuracy = float((within == garments).mean())
    return Metrics(
        images=len(groups),
        accuracy=float(right.mean()),
        balanced_accuracy=float(np.mean([row.recall for row in present])),
        macro_f1=float(np.mean([_f1(row) for row in present])),
        garment_accuracy=garment_accuracy,
        expected_calibration_error=expected_calibration_error(confidence, right=right),
        argmax=scores,
        balanced=group_scores(balanced_groups, truth=groups),
        answered=float((~abstained).mean()),
        accuracy_of_answered=float(right[~abstained].mean()) if not abstained.all() else 0.0,
    )


def group_scores(predicted: NDArray[np.integer], *, truth: NDArray[np.integer]) -> dict[str, GroupScores]:
    """Recall, precision and negative predictive value of every group, for group indices int[N] of both."""
    rows = {}
    for index, name in enumerate(GROUPS):
        said, true = predicted == index, truth == index
        both = int(np.sum(said & true))
        rows[name] = GroupScores(
            recall=_ratio(both, int(true.sum())),
            precision=_ratio(both, int(said.sum())),
            negative_predictive_value=_ratio(int(np.sum(~said & ~true)), int(np.sum(~said))),
        )
    return rows


def expected_calibration_error(
    confidence: NDArray[np.floating], *, right: NDArray[np.bool_], bins: int = CALIBRATION_BINS
) -> float:
    """The mean gap between confidence and accuracy over equal bins of 0..1, weighted by the pictures in each."""
    indices = np.minimum((confidence * bins).astype(np.int64), bins - 1)
    gaps = np.bincount(indices, weights=confidence - right, minlength=bins)
    return float(np.abs(gaps).sum() / len(confidence))


def _f1(scores: GroupScores) -> float:
    total = scores.precision + scores.recall
    return 2 * scores.precision * scores.recall / total if total else 0.0


def _ratio(part: int, whole: int) -> float:
    return part / whole if whole else 0.0

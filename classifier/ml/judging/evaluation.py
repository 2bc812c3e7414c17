"""How good labels are, and the embedding that they come from. NumPy only.

Every function takes numbers of the same N pictures in the same order.
"""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from classifier.ml.judging.shares import measure_share
from classifier.ml.labels import GROUPS, garments_within_groups, group_probabilities

CALIBRATION_BINS: Final = 15
#: The figures of ``Metrics`` that are shares of right labels among so many pictures.
ACCURACIES: Final = ("accuracy", "garment_accuracy", "accuracy_of_answered")
#: Where the risk is given: every tenth at first, then every percent, because there it rises.
COVERAGES: Final = (*(step / 10 for step in range(1, 9)), 0.85, *(step / 100 for step in range(90, 101)))
NEIGHBOURS: Final = 10
_NEIGHBOUR_BLOCK: Final = 500


@dataclass(frozen=True, slots=True)
class GroupScores:
    """One row of the published tables; each figure lies in 0..1 and is None where it is a share of nothing."""

    recall: float | None
    precision: float | None
    negative_predictive_value: float | None


@dataclass(frozen=True, slots=True)
class Metrics:
    """The figures of one evaluation that depend on the labels alone.

    ``balanced`` is None where no balanced operating point was given. ``garment_accuracy`` is None where only groups
    are known, ``accuracy_of_answered`` where nothing is answered. Accuracy, macro F1 and calibration error are those of
    the argmax operating point.
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
    accuracy_of_answered: float | None

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
    within = garments_within_groups(probabilities, groups=predicted)
    return Metrics(
        images=len(groups),
        accuracy=float(right.mean()),
        balanced_accuracy=float(np.mean([row.recall or 0.0 for row in present])),
        macro_f1=float(np.mean([_f1(row) for row in present])),
        garment_accuracy=None if garments is None else float((within == garments).mean()),
        expected_calibration_error=expected_calibration_error(confidence, right=right),
        argmax=scores,
        balanced=group_scores(balanced_groups, truth=groups),
        answered=float((~abstained).mean()),
        accuracy_of_answered=float(right[~abstained].mean()) if not abstained.all() else None,
    )


def measure_accuracy(metrics: Mapping[str, Any], name: str) -> dict[str, Any] | None:
    """One of the accuracies in ``Metrics.to_json`` with its interval, as ``Share.to_json``; None where it is not known.

    ``name`` is one of ``ACCURACIES``.
    """
    value = metrics.get(name)
    if value is None:
        return None
    count = round(metrics["images"] * (metrics["answered"] if name == "accuracy_of_answered" else 1))
    return measure_share(value * count, of=count).to_json()


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


def reliability(
    confidence: NDArray[np.floating], *, right: NDArray[np.bool_], bins: int = CALIBRATION_BINS
) -> list[dict[str, Any]]:
    """For each equal bin of 0..1: mean confidence, accuracy (both None in an empty bin) and number of pictures."""
    indices = np.minimum((confidence * bins).astype(np.int64), bins - 1)
    return [
        {
            "low": index / bins,
            "high": (index + 1) / bins,
            "confidence": float(confidence[chosen].mean()) if chosen.any() else None,
            "accuracy": float(right[chosen].mean()) if chosen.any() else None,
            "count": int(chosen.sum()),
        }
        for index, chosen in enumerate(indices == index for index in range(bins))
    ]


def expected_calibration_error(confidence: NDArray[np.floating], *, right: NDArray[np.bool_]) -> float:
    """The mean gap between confidence and accuracy over the bins of ``reliability``, weighted by their pictures."""
    bins = [row for row in reliability(confidence, right=right) if row["count"]]
    return float(sum(row["count"] * abs(row["confidence"] - row["accuracy"]) for row in bins)) / len(right)


def risk_against_coverage(confidence: NDArray[np.floating], *, right: NDArray[np.bool_]) -> dict[str, Any]:
    """The share of wrong labels among the most confident pictures.

    ``points`` has coverage, risk and the least confidence of the answers at each of ``COVERAGES``; ``area`` is the mean
    risk over every possible coverage, lower is better. Pictures of equal confidence stay in their order.
    """
    order = np.argsort(-confidence, kind="stable")
    risks = np.cumsum(~right[order]) / np.arange(1, len(order) + 1)
    answered = [max(1, round(coverage * len(order))) for coverage in COVERAGES]
    return {
        "area": float(risks.mean()),
        "points": [
            {
                "coverage": coverage,
                "risk": float(risks[count - 1]),
                "least_confidence": float(confidence[order[count - 1]]),
            }
            for coverage, count in zip(COVERAGES, answered, strict=True)
        ],
    }


def precision_at_recall(
    scores: NDArray[np.floating], *, positive: NDArray[np.bool_], recall: float
) -> dict[str, float]:
    """Precision where pictures are taken in the order of their score until that share of the positive ones is in.

    Pictures of equal score are taken together. ``recall`` in the answer is what was reached. Raises ``ValueError``
    when no picture is positive.
    """
    if not positive.any():
        raise ValueError("expected at least one positive picture, received none")
    needed = int(np.ceil(recall * positive.sum() - 1e-9))
    threshold = np.sort(scores[positive])[::-1][max(needed, 1) - 1]
    taken = scores >= threshold
    return {
        "recall": float(positive[taken].sum() / positive.sum()),
        "precision": float(positive[taken].mean()),
        "threshold": float(threshold),
    }


def judge_embedding(
    embedding: NDArray[np.floating], *, groups: NDArray[np.integer], garments: NDArray[np.integer]
) -> dict[str, float]:
    """How often the nearest other pictures by embedding float[N, D] share the label.

    ``nearest_same_group`` and ``nearest_same_garment`` are shares of the pictures; ``precision_at_10`` is the mean
    share of the ten nearest (fewer where there are fewer) that have the picture's group. Raises ``ValueError`` for
    fewer than two pictures.
    """
    count = len(embedding)
    if count < 2:
        raise ValueError(f"expected at least 2 pictures, received {count}")
    lengths = np.linalg.norm(embedding, axis=1, keepdims=True)
    unit = (embedding / np.maximum(lengths, 1e-12)).astype(np.float32)
    nearest, ten = np.empty(count, dtype=np.int64), np.empty(count)
    wanted = min(NEIGHBOURS, count - 1)
    for start in range(0, count, _NEIGHBOUR_BLOCK):
        rows = np.arange(start, min(start + _NEIGHBOUR_BLOCK, count))
        likeness = unit[rows] @ unit.T
        likeness[np.arange(len(rows)), rows] = -np.inf
        nearest[rows] = likeness.argmax(axis=1)
        neighbours = np.argpartition(-likeness, wanted - 1, axis=1)[:, :wanted]
        ten[rows] = (groups[neighbours] == groups[rows, None]).mean(axis=1)
    return {
        "nearest_same_group": float((groups[nearest] == groups).mean()),
        "nearest_same_garment": float((garments[nearest] == garments).mean()),
        "precision_at_10": float(ten.mean()),
    }


def _ratio(part: int, whole: int) -> float | None:
    return part / whole if whole else None


def _f1(scores: GroupScores) -> float:
    """The harmonic mean of precision and recall of a group that occurs; 0 where none of its pictures is found."""
    precision, recall = scores.precision or 0.0, scores.recall or 0.0
    return 2 * precision * recall / (precision + recall) if precision + recall else 0.0

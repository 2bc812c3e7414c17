"""What an experiment tells beyond its metrics: confusion, reliability, risk and coverage, the embedding. NumPy only.

Every function takes numbers of the same N pictures in the same order.
"""

from __future__ import annotations

from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from classifier.ml.judging.evaluation import CALIBRATION_BINS

#: Where the risk is given: every tenth at first, then every percent, because there it rises.
COVERAGES: Final = (*(step / 10 for step in range(1, 9)), 0.85, *(step / 100 for step in range(90, 101)))
NEIGHBOURS: Final = 10
_NEIGHBOUR_BLOCK: Final = 500


def count_confusions(predicted: NDArray[np.integer], *, truth: NDArray[np.integer], labels: int) -> NDArray[np.int64]:
    """How many pictures of each true label (row) were given each label (column), int64[labels, labels]."""
    counts = np.bincount(np.asarray(truth, dtype=np.int64) * labels + predicted, minlength=labels * labels)
    return counts.reshape(labels, labels)


def reliability(
    confidence: NDArray[np.floating], *, right: NDArray[np.bool_], bins: int = CALIBRATION_BINS
) -> list[dict[str, Any]]:
    """For each equal bin of 0..1: mean confidence, accuracy (both None in an empty bin) and number of pictures."""
    indices = np.minimum((confidence * bins).astype(np.int64), bins - 1)
    rows: list[dict[str, Any]] = []
    for index in range(bins):
        inside = indices == index
        count = int(inside.sum())
        rows.append(
            {
                "low": index / bins,
                "high": (index + 1) / bins,
                "confidence": float(confidence[inside].mean()) if count else None,
                "accuracy": float(right[inside].mean()) if count else None,
                "count": count,
            }
        )
    return rows


def risk_against_coverage(confidence: NDArray[np.floating], *, right: NDArray[np.bool_]) -> dict[str, Any]:
    """The share of wrong labels among the most confident pictures.

    ``points`` has coverage, risk and the least confidence kept at each of ``COVERAGES``; ``area`` is the mean risk over
    every possible coverage, lower is better. Pictures of equal confidence stay in their order.
    """
    order = np.argsort(-confidence, kind="stable")
    risks = np.cumsum(~right[order]) / np.arange(1, len(order) + 1)
    kept = [max(1, round(coverage * len(order))) for coverage in COVERAGES]
    return {
        "area": float(risks.mean()),
        "points": [
            {
                "coverage": coverage,
                "risk": float(risks[count - 1]),
                "least_confidence": float(confidence[order[count - 1]]),
            }
            for coverage, count in zip(COVERAGES, kept, strict=True)
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

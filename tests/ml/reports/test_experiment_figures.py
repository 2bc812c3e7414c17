"""Confusion, reliability, risk against coverage, precision at a recall, and the judgement of embeddings."""

import numpy as np
import pytest

from classifier.ml.judging.evaluation import expected_calibration_error
from classifier.ml.reports.experiment_figures import (
    COVERAGES,
    count_confusions,
    judge_embedding,
    precision_at_recall,
    reliability,
    risk_against_coverage,
)


def test_confusions_have_the_truth_in_rows() -> None:
    counts = count_confusions(np.array([0, 1, 1, 2]), truth=np.array([0, 0, 1, 1]), labels=3)

    assert counts.tolist() == [[1, 1, 0], [0, 1, 1], [0, 0, 0]]


def test_reliability_counts_every_picture_once_and_leaves_empty_bins_open() -> None:
    confidence = np.array([0.1, 0.2, 0.95, 1.0])
    right = np.array([False, True, True, True])

    rows = reliability(confidence, right=right, bins=2)

    assert rows == [
        {"low": 0.0, "high": 0.5, "confidence": pytest.approx(0.15), "accuracy": 0.5, "count": 2},
        {"low": 0.5, "high": 1.0, "confidence": pytest.approx(0.975), "accuracy": 1.0, "count": 2},
    ]
    empty = reliability(np.array([0.9]), right=np.array([True]), bins=2)[0]
    assert (empty["count"], empty["confidence"], empty["accuracy"]) == (0, None, None)


def test_the_gaps_of_the_bins_make_the_calibration_error() -> None:
    generator = np.random.default_rng(1)
    confidence = generator.uniform(0.2, 1, size=500)
    right = generator.uniform(size=500) < confidence**2

    rows = reliability(confidence, right=right)

    gaps = [row["count"] * abs(row["accuracy"] - row["confidence"]) for row in rows if row["count"]]
    assert sum(gaps) / 500 == pytest.approx(expected_calibration_error(confidence, right=right))


def test_risk_is_that_of_the_most_confident_pictures() -> None:
    confidence = np.arange(100) / 100
    right = np.arange(100) >= 10  # the ten least confident are wrong

    curve = risk_against_coverage(confidence, right=right)

    by_coverage = {point["coverage"]: point for point in curve["points"]}
    assert tuple(by_coverage) == COVERAGES
    assert len(COVERAGES) <= 50
    assert by_coverage[0.9] == {"coverage": 0.9, "risk": 0.0, "least_confidence": pytest.approx(0.1)}
    assert by_coverage[1.0]["risk"] == pytest.approx(0.1)
    assert curve["area"] == pytest.approx(sum(wrong / (90 + wrong) for wrong in range(1, 11)) / 100)


def test_a_single_picture_has_its_risk_at_every_coverage() -> None:
    curve = risk_against_coverage(np.array([0.7]), right=np.array([False]))

    assert {point["risk"] for point in curve["points"]} == {1.0}


@pytest.mark.parametrize("recall,precision", [(0.5, 1.0), (0.75, 0.75), (1.0, 4 / 6)])
def test_precision_where_a_recall_is_reached(recall: float, precision: float) -> None:
    scores = np.array([0.9, 0.8, 0.7, 0.6, 0.5, 0.4])
    positive = np.array([True, True, False, True, False, True])

    found = precision_at_recall(scores, positive=positive, recall=recall)

    assert found["recall"] == recall
    assert found["precision"] == pytest.approx(precision)


def test_pictures_of_equal_score_are_taken_together() -> None:
    found = precision_at_recall(np.array([0.5, 0.5, 0.5]), positive=np.array([True, False, True]), recall=0.5)

    assert found == {"recall": 1.0, "precision": pytest.approx(2 / 3), "threshold": 0.5}


def test_a_recall_of_nothing_is_refused() -> None:
    with pytest.raises(ValueError, match="expected at least one positive picture"):
        precision_at_recall(np.array([0.5]), positive=np.array([False]), recall=0.5)


def test_neighbours_are_others_and_are_found_by_direction() -> None:
    embedding = np.array([[1.0, 0.0], [5.0, 0.1], [0.0, 1.0], [0.1, 9.0], [1.0, 0.4]], dtype=np.float32)
    groups = np.array([0, 0, 1, 1, 1])
    garments = np.array([0, 2, 1, 1, 3])

    judged = judge_embedding(embedding, groups=groups, garments=garments)

    # Each picture of the first four finds its own group next to it; the last finds picture 1. All four others count as
    # the ten nearest here.
    assert judged["nearest_same_group"] == pytest.approx(0.8)
    assert judged["nearest_same_garment"] == pytest.approx(0.4)
    assert judged["precision_at_10"] == pytest.approx((1 / 4 + 1 / 4 + 3 * 2 / 4) / 5)


def test_one_picture_has_no_neighbour() -> None:
    with pytest.raises(ValueError, match="expected at least 2 pictures, received 1"):
        judge_embedding(np.ones((1, 2)), groups=np.array([0]), garments=np.array([0]))

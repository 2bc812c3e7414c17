"""The figures of an evaluation, on numbers small enough to count by hand."""

import numpy as np
import pytest

from classifier.ml.judging.evaluation import (
    COVERAGES,
    EvaluationReport,
    GroupScores,
    expected_calibration_error,
    group_scores,
    judge_embedding,
    measure,
    measure_accuracy,
    precision_at_recall,
    reliability,
    risk_against_coverage,
)
from classifier.ml.judging.shares import measure_share

# Garments of the truth: T-shirt, Trouser, Dress, Sneaker, Bag, Shirt.
GARMENTS = np.array([0, 1, 3, 7, 8, 6])
GROUPS = np.array([0, 1, 2, 3, 4, 0])


def probabilities_for(*garments: int, confidence: float = 0.91) -> np.ndarray:
    """Rows with the given confidence in one garment and the rest spread over the nine others."""
    rest = (1 - confidence) / 9
    return np.eye(10)[list(garments)] * (confidence - rest) + rest


def test_scores_are_counted_per_group() -> None:
    # Group 0: three true, three said, two of both; nine rows in all.
    truth = np.array([0, 0, 0, 1, 1, 2, 3, 4, 4])
    predicted = np.array([0, 0, 2, 1, 1, 0, 3, 4, 3])
    scores = group_scores(predicted, truth=truth)
    assert scores["Upper part"].recall == pytest.approx(2 / 3)
    assert scores["Upper part"].precision == pytest.approx(2 / 3)
    assert scores["Upper part"].negative_predictive_value == pytest.approx(5 / 6)
    assert scores["One piece"].recall == 0.0
    assert scores["One piece"].precision == 0.0
    assert scores["One piece"].negative_predictive_value == pytest.approx(7 / 8)
    assert scores["Bags"].recall == pytest.approx(0.5)
    assert scores["Bags"].precision == 1.0


def test_what_is_a_share_of_nothing_has_no_figure() -> None:
    with np.errstate(all="raise"):
        scores = group_scores(np.array([0]), truth=np.array([0]))
    assert scores["Bags"] == GroupScores(recall=None, precision=None, negative_predictive_value=1.0)
    assert scores["Upper part"] == GroupScores(recall=1.0, precision=1.0, negative_predictive_value=None)


def test_accuracies_have_intervals_of_as_many_pictures_as_they_are_of() -> None:
    metrics = {"images": 100, "accuracy": 0.9, "garment_accuracy": None, "answered": 0.5, "accuracy_of_answered": 1.0}
    assert measure_accuracy(metrics, "accuracy") == measure_share(90, of=100).to_json()
    assert measure_accuracy(metrics, "accuracy_of_answered") == measure_share(50, of=50).to_json()
    assert measure_accuracy(metrics, "garment_accuracy") is None


def test_calibration_error_is_the_weighted_gap_of_the_bins() -> None:
    # Two bins of fifteen: 0.9 x 2 with one right (gap 0.4), 0.5 x 2 with both right (gap 0.5).
    confidence = np.array([0.9, 0.9, 0.5, 0.5])
    right = np.array([True, False, True, True])
    assert expected_calibration_error(confidence, right=right) == pytest.approx(0.5 * 0.4 + 0.5 * 0.5)


def test_certainty_falls_into_the_last_bin() -> None:
    assert expected_calibration_error(np.array([1.0, 1.0]), right=np.array([True, True])) == 0.0


def test_every_figure_of_a_small_evaluation() -> None:
    # Given six pictures of which the shirt is taken for a dress and the T-shirt for a pullover,
    probabilities = probabilities_for(2, 1, 3, 7, 8, 3)
    abstained = np.array([False, False, False, False, True, True])
    # when they are measured,
    metrics = measure(probabilities, groups=GROUPS, garments=GARMENTS, balanced_groups=GROUPS, abstained=abstained)
    # then one of six groups and two of six garments are wrong.
    assert metrics.images == 6
    assert metrics.accuracy == pytest.approx(5 / 6)
    assert metrics.garment_accuracy == pytest.approx(4 / 6)
    assert metrics.balanced_accuracy == pytest.approx((0.5 + 1 + 1 + 1 + 1) / 5)
    assert metrics.macro_f1 == pytest.approx((2 / 3 + 1 + 2 / 3 + 1 + 1) / 5)
    assert metrics.answered == pytest.approx(4 / 6)
    assert metrics.accuracy_of_answered == 1.0
    assert metrics.argmax["One piece"].precision == 0.5
    assert metrics.balanced["One piece"].precision == 1.0


def test_balanced_accuracy_leaves_out_groups_that_do_not_occur() -> None:
    metrics = measure(
        probabilities_for(0, 1),
        groups=np.array([0, 3]),
        garments=None,
        balanced_groups=np.array([0, 1]),
        abstained=np.array([True, True]),
    )
    assert metrics.balanced_accuracy == 0.5
    assert metrics.garment_accuracy is None
    assert (metrics.answered, metrics.accuracy_of_answered) == (0.0, None)
    assert metrics.argmax["Bags"].recall is None
    # A group of which none was said is found in none of its pictures.
    assert metrics.macro_f1 == pytest.approx((1 + 0) / 2)


def test_lengths_must_agree_and_nothing_cannot_be_measured() -> None:
    with pytest.raises(ValueError, match=r"received \[1, 2\]"):
        measure(
            probabilities_for(0, 1),
            groups=np.array([0, 1]),
            garments=None,
            balanced_groups=np.array([0]),
            abstained=np.array([False, False]),
        )
    empty = np.zeros(0, dtype=np.int64)
    with pytest.raises(ValueError, match=r"received \[0\]"):
        measure(np.zeros((0, 10)), groups=empty, garments=None, balanced_groups=empty, abstained=empty.astype(bool))


def test_the_report_has_the_documented_fields() -> None:
    metrics = measure(
        probabilities_for(0, 1, 3, 7, 8, 6),
        groups=GROUPS,
        garments=GARMENTS,
        balanced_groups=GROUPS,
        abstained=np.zeros(6, dtype=bool),
    )
    report = EvaluationReport(model_version="v", metrics=metrics, parameters=5, artefact_bytes=6, seconds=2.0).to_json()
    assert set(report) >= {
        "model_version",
        "images",
        "accuracy",
        "macro_f1",
        "garment_accuracy",
        "expected_calibration_error",
        "groups",
        "operating_points",
        "parameters",
        "artefact_bytes",
        "seconds",
        "images_per_second",
    }
    assert report["images_per_second"] == 3.0
    assert report["operating_points"]["argmax"] == report["groups"]
    assert report["groups"]["Bags"] == {"recall": 1.0, "precision": 1.0, "negative_predictive_value": 1.0}
    assert set(report["operating_points"]) == {"argmax", "balanced"}


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

"""Temperature, thresholds and the balanced operating point."""

from dataclasses import asdict
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from classifier.ml.judging.calibration import Calibration, calibrate, evidence
from classifier.ml.judging.evaluation import expected_calibration_error
from classifier.ml.labels import GROUPS, group_labels, group_probabilities

EVEN = dict.fromkeys(GROUPS, 0.5)
ONES = dict.fromkeys(GROUPS, 1.0)


def draw_logits(count: int, *, scale: float, seed: int = 0) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    """Logits whose softmax is the true distribution of the labels, multiplied by ``scale``."""
    generator = np.random.default_rng(seed)
    logits = generator.normal(0, 2.0, (count, 10))
    gumbel = generator.gumbel(size=logits.shape)
    return (logits * scale).astype(np.float32), (logits + gumbel).argmax(axis=1)


def build(**changes: Any) -> Calibration:
    return Calibration(
        **{
            "temperature": 1.0,
            "thresholds": EVEN,
            "evidence_threshold": -100.0,
            "balanced_weights": ONES,
            **changes,
        }
    )


@pytest.mark.parametrize("scale", [0.5, 1.0, 3.0])
def test_the_temperature_undoes_a_scale(scale: float) -> None:
    logits, labels = draw_logits(3000, scale=scale)
    calibration = calibrate(logits, labels=labels)
    assert calibration.temperature == pytest.approx(scale, rel=0.1)
    groups = group_probabilities(calibration.probabilities(logits))
    right = groups.argmax(axis=1) == group_labels(labels)
    assert expected_calibration_error(groups.max(axis=1), right=right) < 0.03


def test_labels_kept_above_a_threshold_reach_the_target() -> None:
    logits, labels = draw_logits(4000, scale=1.0)
    calibration = calibrate(logits, labels=labels, target_precision=0.9)
    kept = ~calibration.abstentions(logits)
    groups = group_probabilities(calibration.probabilities(logits)).argmax(axis=1)
    for index in range(len(GROUPS)):
        of_group = kept & (groups == index)
        assert of_group.sum() > 15
        assert (group_labels(labels)[of_group] == index).mean() >= 0.9


def test_a_group_that_never_reaches_the_target_is_hardly_ever_kept() -> None:
    # Every picture that looks like a bag is a shirt.
    logits = np.tile(np.eye(10, dtype=np.float32)[8] * 5, (50, 1))
    calibration = calibrate(logits, labels=np.full(50, 6))
    assert calibration.thresholds["Bags"] == 0.999
    assert calibration.abstentions(logits).all()


def test_too_little_confidence_abstains_at_the_groups_own_threshold() -> None:
    logits = np.log(np.array([[0.05, 0.0, 0, 0.6, 0, 0, 0.35, 0, 0, 0], [0.05, 0.6, 0, 0, 0, 0, 0.35, 0, 0, 0]]) + 1e-9)
    calibration = build(thresholds={**EVEN, "One piece": 0.7})
    assert calibration.abstentions(logits.astype(np.float32)).tolist() == [True, False]


def test_too_little_evidence_abstains_however_sure() -> None:
    logits = np.array([[9.0] + [0.0] * 9, [-20.0] + [-29.0] * 9], dtype=np.float32)
    assert evidence(logits)[0] == pytest.approx(9.0, abs=0.01)
    assert build(evidence_threshold=0.0).abstentions(logits).tolist() == [False, True]


def test_the_balanced_point_moves_labels_by_its_weights() -> None:
    probabilities = np.array([[0.0, 0.0, 0.0, 0.4, 0.0, 0.0, 0.6, 0.0, 0.0, 0.0]])
    assert build().balanced_groups(probabilities).tolist() == [0]
    assert build(balanced_weights={**ONES, "One piece": 2.0}).balanced_groups(probabilities).tolist() == [2]


def test_the_balanced_point_raises_the_worst_cell() -> None:
    # Given dresses that lose a little too often against shirts,
    generator = np.random.default_rng(1)
    labels = np.repeat([6, 3, 1, 7, 8], 300)
    logits = np.eye(10)[labels] * 6 + generator.normal(0, 1, (1500, 10))
    logits[300:600, 6] += 5.0
    # when the operating point is chosen,
    calibration = calibrate(logits.astype(np.float32), labels=labels)
    # then more dresses are found than by the largest probability.
    probabilities = calibration.probabilities(logits.astype(np.float32))
    argmax = group_probabilities(probabilities).argmax(axis=1)
    balanced = calibration.balanced_groups(probabilities)
    assert (balanced[300:600] == 2).sum() > (argmax[300:600] == 2).sum()
    assert calibration.balanced_weights["One piece"] > calibration.balanced_weights["Upper part"]


def test_a_perfect_network_needs_no_weights() -> None:
    labels = np.tile(np.arange(10), 20)
    calibration = calibrate((np.eye(10)[labels] * 20).astype(np.float32), labels=labels)
    assert calibration.balanced_weights == ONES


def test_it_survives_the_manifest() -> None:
    logits, labels = draw_logits(300, scale=1.0)
    calibration = calibrate(logits, labels=labels)
    assert Calibration(**asdict(calibration)) == calibration


@pytest.mark.parametrize(
    "changes, message",
    [
        ({"temperature": 0.0}, "positive temperature, received 0.0"),
        ({"thresholds": {"Bags": 0.5}}, "thresholds for Upper part"),
        ({"balanced_weights": {}}, "balanced_weights for Upper part"),
    ],
)
def test_a_calibration_that_cannot_work_is_refused(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        build(**changes)


def test_nothing_to_calibrate_on_is_refused() -> None:
    with pytest.raises(ValueError, match="at least one calibration picture"):
        calibrate(np.zeros((0, 10), dtype=np.float32), labels=np.zeros(0, dtype=np.int64))

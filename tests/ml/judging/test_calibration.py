"""Temperature, thresholds and the balanced operating point."""

import json
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from classifier.ml.judging.calibration import Calibration, Judgement, calibrate, evidence
from classifier.ml.judging.evaluation import expected_calibration_error
from classifier.ml.labels import GROUPS, group_labels, group_probabilities
from tests.ml.judging.test_photographs import build_photographs

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


def judge(calibration: Calibration, logits: NDArray[np.floating], *, photograph: bool = False) -> Judgement:
    """What follows from logits of pictures that are not blank, with an embedding of nothing."""
    count = len(logits)
    return calibration.judge(
        logits.astype(np.float32),
        features=np.zeros((count, 64), dtype=np.float32),
        photograph=np.full(count, photograph),
        blank=np.zeros(count, dtype=bool),
    )


def test_labels_kept_above_the_threshold_reach_the_target() -> None:
    logits, labels = draw_logits(4000, scale=1.0)
    calibration = calibrate(logits, labels=labels, target_precision=0.9)
    kept = ~judge(calibration, logits).abstained
    groups = group_probabilities(calibration.probabilities(logits)).argmax(axis=1)
    assert 500 < kept.sum() < 3900
    assert (group_labels(labels)[kept] == groups[kept]).mean() >= 0.9
    assert len(set(calibration.thresholds.values())) == 1


def test_without_a_label_that_is_right_hardly_any_is_kept() -> None:
    # Every picture that looks like a bag is a shirt.
    logits = np.tile(np.eye(10, dtype=np.float32)[8] * 5, (50, 1))
    calibration = calibrate(logits, labels=np.full(50, 6))
    assert judge(calibration, logits).abstained.all()


def test_a_garment_is_sure_where_the_sure_ones_reach_the_target() -> None:
    # Given shirts and coats that look alike in every second picture,
    labels = np.tile([6, 4], 500)
    logits = np.eye(10)[labels] * 9.0
    logits[500:, 6] = logits[500:, 4] = 9.0
    logits[500:, 6] += 0.1
    # when it is calibrated,
    calibration = calibrate(logits.astype(np.float32), labels=labels)
    # then all groups are kept, and of those pictures no garment is sure.
    judged = judge(calibration, logits)
    assert not judged.abstained[10:].any()
    assert judged.garment_unsure.tolist() == [False] * 500 + [True] * 500


def test_too_little_confidence_abstains() -> None:
    logits = np.log(np.array([[0.05, 0.0, 0, 0.6, 0, 0, 0.35, 0, 0, 0], [0.05, 0.6, 0, 0, 0, 0, 0.35, 0, 0, 0]]) + 1e-9)
    assert judge(build(), logits).abstained.tolist() == [False, False]
    # Artefacts of the first schema have a threshold for each group.
    assert judge(build(thresholds={**EVEN, "One piece": 0.7}), logits).abstained.tolist() == [True, False]


def test_too_little_evidence_abstains_however_sure() -> None:
    logits = np.array([[9.0] + [0.0] * 9, [-20.0] + [-29.0] * 9], dtype=np.float32)
    assert evidence(logits)[0] == pytest.approx(9.0, abs=0.01)
    assert judge(build(evidence_threshold=0.0), logits).abstained.tolist() == [False, True]


def test_a_blank_picture_abstains() -> None:
    logits = np.eye(10, dtype=np.float32)[:2] * 9
    embedding, canonical = np.zeros((2, 64), dtype=np.float32), np.zeros(2, dtype=bool)
    judged = build().judge(logits, features=embedding, photograph=canonical, blank=np.array([True, False]))
    assert judged.abstained.tolist() == [True, False]


def test_photographs_are_judged_by_their_own_numbers() -> None:
    logits = np.array([[2.0, 0, 0, 2.0, 0, 0, 0, 0, 0, 0]])
    calibration = build(photographs=build_photographs(group_weights={**ONES, "One piece": 3.0}))
    canonical = judge(calibration, logits).garment_probabilities[0]
    photograph = judge(calibration, logits, photograph=True).garment_probabilities[0]
    assert canonical[0] == canonical[3]
    assert photograph[3] == pytest.approx(3 * photograph[0])
    # No evidence is asked of them, and without numbers of their own they are judged as all others.
    strict = build(evidence_threshold=100.0)
    assert judge(strict, logits, photograph=True).abstained.tolist() == [True]
    strict = replace(strict, photographs=build_photographs(group_weights={**ONES, "One piece": 9.0}))
    assert judge(strict, logits, photograph=True).abstained.tolist() == [False]


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
    calibration = replace(calibration, photographs=build_photographs())
    assert Calibration.from_json(json.loads(json.dumps(calibration.to_json()))) == calibration


def test_a_calibration_of_the_first_schema_has_its_thresholds() -> None:
    value = {"temperature": 2.0, "thresholds": {**EVEN, "Bags": 0.8}, "evidence_threshold": 0, "balanced_weights": ONES}
    calibration = Calibration.from_json(value)
    assert calibration.thresholds["Bags"] == 0.8
    assert (calibration.garment_threshold, calibration.photographs) == (0.0, None)


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

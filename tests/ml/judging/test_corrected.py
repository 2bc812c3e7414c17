"""The accuracy that is told from confidence and answers together."""

import numpy as np
import pytest

from classifier.ml.judging.corrected import ConfidentStratum, estimate_corrected, find_mean_confidence
from classifier.ml.judging.shares import Share, measure_share
from tests.ml.judging.simulated_windows import LEAST_HELD, MOST_HELD, MOST_WIDTH, judge_windows

CHANCE = np.random.default_rng(1)


def build(size: int, *, mean: float, answers: int, right: float, spread: float = 0.0) -> ConfidentStratum:
    """A stratum so many of whose answers are right, whose confidences follow the answers as far as they spread."""
    told = (np.arange(answers) < round(right * answers)).astype(float)
    confidences = mean + spread * (told - right)
    return ConfidentStratum(size, size, mean, confidences, told)


def test_a_conceited_model_is_corrected_and_strata_weigh_what_they_hold() -> None:
    strata = [build(9_000, mean=0.99, answers=60, right=0.9), build(1_000, mean=0.7, answers=40, right=0.5)]

    share = estimate_corrected(strata)

    assert find_mean_confidence(strata) == pytest.approx(0.961)
    assert (share.value, share.count) == (pytest.approx(0.86), 100)
    assert share.low is not None
    assert share.high is not None
    assert 0.75 < share.low < 0.8 < 0.9 < share.high < 0.95


def test_confidence_that_follows_the_answers_makes_the_interval_narrower() -> None:
    knowing = estimate_corrected([build(10_000, mean=0.8, answers=100, right=0.8, spread=0.8)])
    blind = estimate_corrected([build(10_000, mean=0.8, answers=100, right=0.8)])
    plain = measure_share(80, of=100)

    def width(share: Share) -> float:
        assert share.low is not None
        assert share.high is not None
        return share.high - share.low

    assert width(knowing) < 0.85 * width(plain)
    assert width(blind) == pytest.approx(width(plain), rel=0.1)


def test_the_order_of_groups_does_not_matter() -> None:
    strata = [
        build(int(CHANCE.integers(500, 5_000)), mean=mean, answers=20, right=mean - 0.1, spread=0.2)
        for mean in (0.6, 0.7, 0.8, 0.9)
    ]
    strata.append(ConfidentStratum(2_000, 50, 0.95, np.array([]), np.array([])))
    expected = estimate_corrected(strata)

    for _ in range(5):
        share = estimate_corrected([strata[place] for place in CHANCE.permutation(len(strata))])
        assert (share.value, share.low, share.high) == pytest.approx((expected.value, expected.low, expected.high))


def test_what_could_not_be_told_counts_neither_way() -> None:
    told = np.array([1.0] * 60 + [0.0] * 20 + [np.nan] * 20)
    share = estimate_corrected([ConfidentStratum(5_000, 5_000, 0.9, np.full(100, 0.9), told)])

    assert (share.value, share.count) == (pytest.approx(0.75), 80)


def test_who_saw_everything_knows_and_few_answers_tell_nothing() -> None:
    everything = build(50, mean=0.9, answers=50, right=0.8)

    assert estimate_corrected([everything]) == Share(*[pytest.approx(0.8)] * 3, count=50)  # type: ignore[arg-type]
    assert estimate_corrected([build(500, mean=0.9, answers=29, right=0.8)]) == Share(None, None, None, count=29)
    assert find_mean_confidence([]) is None
    with pytest.raises(ValueError, match="answers <= drawn <= size"):
        ConfidentStratum(10, 5, 0.9, np.zeros(6), np.zeros(6))


def test_the_interval_holds_the_truth_of_simulated_windows_and_is_narrower_than_a_plain_one() -> None:
    outcome = judge_windows(100, seed=1)

    assert LEAST_HELD - 0.05 <= outcome["corrected"]["held"] <= MOST_HELD + 0.03
    assert outcome["relative_width"] <= MOST_WIDTH
    assert outcome["error"] < outcome["confidence_error"]

"""Shares with their intervals."""

import numpy as np
import pytest

from classifier.ml.judging.shares import LEAST_COUNT, Share, find_interval, measure_mean_share, measure_share
from tests.ml.judging.simulated_previews import draw_previews


def test_the_interval_is_wilsons() -> None:
    # Of a textbook: 15 of 30, and 0 of 30.
    assert find_interval(15, of=30) == pytest.approx((0.3315, 0.6685), abs=1e-4)
    assert find_interval(0, of=30) == pytest.approx((0.0, 0.1135), abs=1e-4)
    assert measure_share(9874, of=10_000).low == pytest.approx(0.9850, abs=1e-4)


def test_of_fewer_than_thirty_nothing_is_told() -> None:
    assert measure_share(29, of=LEAST_COUNT - 1) == Share(None, None, None, count=29)
    assert measure_share(29, of=LEAST_COUNT).value == pytest.approx(29 / 30)
    assert measure_mean_share([(10, 10), (0, 19), (0, 0)]) == Share(None, None, None, count=29)
    with pytest.raises(ValueError, match="expected from 0 to 29 chosen, received 30"):
        measure_share(30, of=29)


def test_a_mean_weighs_parts_alike_and_its_interval_covers_what_is_true() -> None:
    mean = measure_mean_share([(150, 150), (16, 32), (0, 0)])
    assert (mean.value, mean.count) == (pytest.approx(0.75), 182)
    # The small part makes it wide; the whole one only lets it fall.
    assert 0.08 < mean.value - mean.low < 0.09
    assert mean.high < 1
    generator = np.random.default_rng(1)
    true, counts = (0.95, 0.6, 0.85), (300, 40, 120)
    covered = 0
    for _ in range(400):
        drawn = [(int(generator.binomial(of, share)), of) for share, of in zip(true, counts, strict=True)]
        found = measure_mean_share(drawn)
        covered += found.low <= 0.8 <= found.high
    assert 0.92 < covered / 400 < 0.98


def test_a_small_run_of_the_proof_holds_the_truth() -> None:
    assert draw_previews(1, samples=1_000).is_met()

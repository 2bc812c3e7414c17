"""Samples of a catalogue, and what they tell of it."""

import numpy as np
import pytest

from classifier.ml.judging.sampling import Stratum, allocate, count_further, estimate_share, find_band
from classifier.ml.judging.shares import Share, find_interval, measure_share
from tests.ml.judging.simulated_catalogues import LEAST_HELD, MOST_HELD, MOST_WIDTH, judge_audits


def test_each_stratum_weighs_what_it_holds_of_the_catalogue() -> None:
    # Every tenth of the sure ones, half of the doubtful: 0.9 * 1.0 + 0.1 * 0.5.
    share = estimate_share([Stratum(9_000, 40, 40, 40), Stratum(1_000, 60, 60, 30)])
    assert (share.value, share.count) == (pytest.approx(0.95), 100)
    assert share.low is not None
    assert share.high is not None
    assert 0.87 < share.low < 0.95 < share.high < 1.0


def test_the_interval_of_a_plain_sample_is_hardly_wider_than_wilsons() -> None:
    share, plain = estimate_share([Stratum(10_000_000, 200, 200, 180)]), measure_share(180, of=200)
    assert share.value == plain.value
    assert (share.low, share.high) == (pytest.approx(plain.low, abs=2e-3), pytest.approx(plain.high, abs=2e-3))


def test_what_cannot_be_judged_counts_neither_way() -> None:
    assert estimate_share([Stratum(1_000, 100, 80, 60)]).value == pytest.approx(0.75)
    # Half of the large stratum cannot be judged, so it weighs half: (0.5 * 0.8 + 0.2) / (0.5 + 0.5 * 0.5) of halves.
    share = estimate_share([Stratum(1_000, 50, 50, 40), Stratum(1_000, 50, 25, 10)])
    assert (share.value, share.count) == (pytest.approx((0.8 + 0.2) / (1 + 0.5)), 75)


def test_who_saw_everything_knows() -> None:
    assert estimate_share([Stratum(40, 40, 40, 36), Stratum(0, 0, 0, 0)]) == Share(0.9, 0.9, 0.9, count=40)


def test_an_interval_stays_open_where_all_that_was_seen_is_right() -> None:
    share = estimate_share([Stratum(1_000, 30, 30, 30), Stratum(1_000, 30, 30, 30)])
    assert (share.value, share.high) == (1.0, pytest.approx(1.0))
    # As if twice as many had been drawn at random.
    assert share.low == pytest.approx(find_interval(120, of=120)[0], abs=0.002)


def test_a_stratum_that_nobody_saw_counts_as_its_neighbour() -> None:
    seen = [Stratum(500, 50, 50, 50), Stratum(1_000, 50, 50, 25)]
    unseen = [Stratum(500, 0, 0, 0), Stratum(500, 50, 50, 50), Stratum(900, 50, 50, 25), Stratum(100, 0, 0, 0)]
    assert estimate_share(seen).value == pytest.approx((500 + 500) / 1_500)
    assert estimate_share(unseen).value == pytest.approx((1_000 + 500) / 2_000)


def test_of_fewer_than_thirty_answers_nothing_is_told() -> None:
    assert estimate_share([Stratum(1_000, 40, 29, 29)]) == Share(None, None, None, count=29)
    assert estimate_share([]) == Share(None, None, None, count=0)
    assert count_further(Share(None, None, None, count=29)) is None


def test_numbers_that_cannot_be_are_refused() -> None:
    with pytest.raises(ValueError, match="expected right <= counted <= seen <= size"):
        Stratum(size=10, seen=5, counted=4, right=5)


def test_bands_begin_where_they_say() -> None:
    assert [find_band(confidence) for confidence in (0.0, 0.59, 0.6, 0.89, 0.9, 1.0)] == [0, 0, 1, 1, 2, 2]


def test_doubt_is_drawn_more_often_than_its_share_and_nothing_is_left_out() -> None:
    drawn = allocate([8_000, 2_000, 3, 1, 0], confidences=[0.99, 0.5, 0.9, 0.3, 0.5], count=200)
    assert drawn.tolist()[2:] == [2, 1, 0]
    assert abs(int(drawn.sum()) - 200) <= 4
    assert drawn[1] / 2_000 == pytest.approx(drawn[0] / 8_000 * 0.5 / np.sqrt(0.07 * 0.93), rel=0.05)
    assert allocate([5, 5], confidences=[0.5, 0.5], count=100).tolist() == [5, 5]


def test_what_more_answers_buy() -> None:
    # From 4 points to 3 takes (4/3)^2 as many.
    further = count_further(Share(0.9, 0.86, 0.94, count=180))
    assert further == (pytest.approx(4.0), 140, 3)
    assert count_further(Share(0.9, 0.89, 0.91, count=5_000)) is None


def test_the_interval_holds_the_truth_of_simulated_catalogues() -> None:
    """`make proof` runs a thousand of them."""
    outcome = judge_audits(400, seed=20)
    assert LEAST_HELD - 0.015 <= outcome["held"] <= MOST_HELD + 0.015
    assert outcome["width"] / outcome["width_of_textbook"] <= MOST_WIDTH

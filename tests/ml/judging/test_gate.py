"""Whether a candidate is worse, on pairs that are counted by hand."""

import numpy as np
import pytest

from classifier.ml.judging.gate import MARGIN, Comparison, compare


def build_pairs(*, both: int, won: int, lost: int) -> Comparison:
    """The comparison where both are right on so many, and one alone on so many."""
    candidate = np.array([True] * both + [True] * won + [False] * lost)
    return compare(candidate, other=np.array([True] * both + [False] * won + [True] * lost))


def test_the_difference_has_the_interval_of_paired_shares() -> None:
    found = build_pairs(both=5940, won=20, lost=40)
    assert (found.images, found.difference) == (6000, pytest.approx(-20 / 6000))
    # d = -20/6002, and 1.96 times the root of 61 - 400/6002 over 6002.
    assert (found.low, found.high) == (pytest.approx(-0.005882, abs=1e-5), pytest.approx(-0.000783, abs=1e-5))
    assert found.is_worse
    assert str(found).startswith("-0.33 points of accuracy over groups (-0.59 to -0.08) on the same 6,000 pictures")
    assert found.to_json()["margin"] == MARGIN == 0.005


@pytest.mark.parametrize(
    "both, won, lost, worse",
    [(6000, 0, 0, False), (5940, 30, 30, False), (5940, 45, 15, False), (5900, 20, 80, True), (590, 5, 5, True)],
    ids=["the same", "as good", "better", "worse", "too few pictures to tell"],
)
def test_worse_is_what_may_be_beyond_the_margin(both: int, won: int, lost: int, worse: bool) -> None:
    assert build_pairs(both=both, won=won, lost=lost).is_worse is worse


def test_of_two_as_good_one_is_rarely_taken_for_worse() -> None:
    lost = np.random.default_rng(1).binomial(60, 0.5, 2000)
    worse = np.mean([build_pairs(both=5940, won=60 - int(count), lost=int(count)).is_worse for count in lost])
    assert 0.01 < worse < 0.05


def test_pictures_are_the_same_and_some() -> None:
    for candidate, other in (([], []), ([True], [True, False])):
        with pytest.raises(ValueError, match="expected as many pictures of both"):
            compare(np.array(candidate, dtype=bool), other=np.array(other, dtype=bool))

"""Whether a candidate is worse, on pairs that are counted by hand."""

import numpy as np
import pytest

from classifier.ml.judging.gate import MARGIN, Comparison, compare, compare_groups
from tests.ml.judging.simulated_gates import draw_gates


def build_pairs(*, both: int, won: int, lost: int) -> Comparison:
    """The comparison where both are right on so many, and one alone on so many."""
    candidate = np.array([True] * both + [True] * won + [False] * lost)
    return compare(candidate, other=np.array([True] * both + [False] * won + [True] * lost))


def test_the_difference_has_the_interval_of_paired_shares() -> None:
    found = build_pairs(both=5940, won=20, lost=40)
    assert (found.images, found.difference) == (6000, pytest.approx(-20 / 6000))
    # d = -20/6002, and 1.96 times the root of 61 - 400/6002 over 6002.
    assert (found.low, found.high) == (pytest.approx(-0.005882, abs=1e-5), pytest.approx(-0.000783, abs=1e-5))
    assert not found.is_worse
    assert str(found) == "all groups: -0.33 points (-0.59 to -0.08, margin -0.86) on the same 6,000 pictures"
    assert found.to_json()["margin"] == round(MARGIN / 6000**0.5, 6) == 0.00865


@pytest.mark.parametrize(
    "both, won, lost, worse",
    [
        (6000, 0, 0, False),
        (30, 0, 0, False),
        (5940, 30, 30, False),
        (5940, 45, 15, False),
        (5900, 10, 90, True),
        (20, 5, 5, True),
    ],
    ids=["the same", "the same of few", "as good", "better", "worse", "too few pictures to tell"],
)
def test_worse_is_what_may_be_beyond_the_margin(both: int, won: int, lost: int, worse: bool) -> None:
    assert build_pairs(both=both, won=won, lost=lost).is_worse is worse


def test_a_small_group_that_became_wrong_is_found_within_many_pictures() -> None:
    truth = np.repeat([0, 1, 2], [4000, 1000, 20])
    said = truth.copy()
    said[4000:4035] = 0
    found = compare_groups(said, other=truth, truth=truth, names=("Tops", "Trousers", "Bags"))
    # Of the third there are too few to tell anything of it.
    assert [(one.of, one.images, one.is_worse) for one in found] == [
        ("all groups", 5020, False),
        ("Tops", 4000, False),
        ("Trousers", 1000, True),
    ]
    assert compare_groups(said[-20:], other=truth[-20:], truth=truth[-20:], names=("Tops", "Trousers", "Bags")) == []


def test_a_small_run_of_the_proof_refuses_what_it_should() -> None:
    outcome = draw_gates(1, candidates=200)
    assert outcome.identical_refused == 0
    assert outcome.equal_refused <= 0.05
    assert outcome.worse_let_through["1000"] <= 0.10


def test_pictures_are_the_same_and_some() -> None:
    for candidate, other in (([], []), ([True], [True, False])):
        with pytest.raises(ValueError, match="expected as many pictures of both"):
            compare(np.array(candidate, dtype=bool), other=np.array(other, dtype=bool))

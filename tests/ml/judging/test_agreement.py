"""How far people agree."""

import numpy as np
import pytest

from classifier.ml.judging.agreement import measure_agreement, measure_group_agreement


def test_agreement_is_corrected_for_chance_and_not_for_rare_groups() -> None:
    # 118 bags of both, and two and five of one only: (0.944 - 0.0544 / 6) / (1 - 0.0544 / 6) with seven categories.
    pairs = [("Bags", "Bags")] * 118 + [("Bags", "Footwear")] * 5 + [("Footwear", "Bags")] * 2
    agreement = measure_agreement(pairs)
    assert agreement.raw.value == pytest.approx(0.944)
    chance = 2 * 0.972 * 0.028 / 6
    assert agreement.ac1.value == pytest.approx((0.944 - chance) / (1 - chance))
    assert agreement.ac1.count == 125
    assert 0.88 < agreement.ac1.low < 0.93
    assert agreement.ac1.high < 0.99


def test_who_guesses_agrees_by_chance_alone() -> None:
    names = ["Upper part", "Bottom part", "One piece", "Footwear", "Bags", "none_of_these", "unusable"]
    generator = np.random.default_rng(4)
    guesses = [(names[first], names[second]) for first, second in generator.integers(0, 7, (2_000, 2))]
    assert measure_agreement(guesses).ac1.value == pytest.approx(0, abs=0.03)


def test_of_few_pairs_nothing_is_told() -> None:
    agreement = measure_agreement([("Bags", "Bags")] * 29)
    assert (agreement.raw.value, agreement.ac1.value, agreement.ac1.count) == (None, None, 29)
    assert measure_agreement([("Bags", "Bags")] * 30).ac1.value == 1.0


def test_the_agreement_on_a_group_looks_at_those_that_somebody_gave_it() -> None:
    pairs = [("Bags", "Bags")] * 30 + [("Bags", "Footwear")] * 10 + [("Upper part", "Upper part")] * 50
    assert measure_group_agreement(pairs, group="Bags").value == pytest.approx(0.75)
    assert measure_group_agreement(pairs, group="Footwear").value is None

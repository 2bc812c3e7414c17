"""Windows of pictures beside a reference: what is told to differ, by what, and what is refused."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from classifier.ml.judging.drift import (
    DISAGREEMENT,
    FAILURES,
    FEATURES,
    MIX,
    STATISTICS,
    Comparison,
    DriftInputError,
    Flags,
    Side,
    compare,
    estimate_mix,
)
from classifier.ml.labels import GARMENTS
from tests.ml.judging.drifting_windows import Material, Seen, judge

CHANCE = np.random.default_rng(1)


def draw(count: int, *, moved: float = 0.0, bags: float = 0.1, **fields: Any) -> Side:
    """Pictures whose features follow from their garment, all moved alike, so many of them bags."""
    mix = np.full(len(GARMENTS), (1 - bags) / 9)
    mix[GARMENTS.index("Bag")] = bags
    garments = CHANCE.choice(len(GARMENTS), count, p=mix)
    features = 3 * np.eye(len(GARMENTS), 20)[garments] + CHANCE.normal(size=(count, 20)) + moved
    probabilities = np.full((count, len(GARMENTS)), 0.01)
    probabilities[np.arange(count), garments] = 0.91
    values = {"batches": np.zeros(count, dtype=np.int64), "hosts": np.zeros(count, dtype=np.int64)} | fields
    return Side(features.astype(np.float32), probabilities, **values)


def draw_material() -> Material:
    """What the proof has of Fashion-MNIST, drawn."""
    garments = CHANCE.integers(len(GARMENTS), size=4_000)
    features = (3 * np.eye(len(GARMENTS), 20)[garments] + CHANCE.normal(size=(4_000, 20))).astype(np.float32)
    probabilities = np.full((4_000, len(GARMENTS)), 0.01, dtype=np.float32)
    probabilities[np.arange(4_000), garments] = 0.91
    plain, spoilt = Seen(features, probabilities), Seen(features + np.float32(0.8), probabilities)
    return Material(
        plain=plain,
        garments=garments,
        inverted=spoilt,
        blurred=spoilt,
        new=Seen(features[:300] - np.float32(2), probabilities[:300]),
        new_is_garment=False,
        directions=features[:, :10] - features[:, :10].mean(axis=0),
    )


def find_different(comparison: Comparison) -> set[str]:
    return {test.name for test in comparison.tests if test.is_different}


def test_nothing_is_told_where_nothing_differs() -> None:
    comparison = compare(draw(600), draw(300), seed=1)

    assert [test.name for test in comparison.tests] == [FEATURES, MIX]
    assert not comparison.is_different
    assert comparison.false_alarms == pytest.approx(0.045, abs=0.02)
    assert compare(draw(600), draw(300), seed=1).tests[0].permuted == "pictures"


def test_other_pictures_are_told_from_another_mix() -> None:
    others = compare(draw(600), draw(300, moved=0.4), seed=1)
    mix = compare(draw(600), draw(300, bags=0.3), seed=1)

    assert find_different(others) == {FEATURES}
    assert not others.is_another_mix
    assert find_different(mix) >= {MIX}
    assert mix.is_another_mix
    assert mix.window_mix[GARMENTS.index("Bag")] == pytest.approx(0.3, abs=0.06)


def test_the_same_seed_says_the_same() -> None:
    reference, window = draw(300), draw(200)

    assert compare(reference, window, seed=7).tests == compare(reference, window, seed=7).tests


def test_little_of_a_difference_is_no_alarm_however_sure() -> None:
    comparison = compare(draw(20_000), draw(20_000, bags=0.115), seed=1)

    mix = comparison.tests[1]
    assert mix.adjusted <= 0.05
    assert not mix.is_different


def test_batches_that_hang_together_are_shuffled_whole() -> None:
    def draw_batches(count: int, first: int) -> Side:
        batches = np.repeat(np.arange(first, first + count), 40)
        side = draw(len(batches), batches=batches)
        leaning = CHANCE.normal(size=(count, 20))
        return replace(side, features=side.features + np.repeat(leaning, 40, axis=0).astype(np.float32))

    comparisons = [
        compare(draw_batches(20, 0), draw_batches(10, 20), seed=seed, permutations=199) for seed in range(20)
    ]
    assert {test.permuted for each in comparisons for test in each.tests} == {"batches"}
    assert sum(each.is_different for each in comparisons) <= 4
    # Shuffled one by one, such pictures would always be an alarm.
    alone = [
        replace(side, batches=np.zeros(len(side), dtype=np.int64))
        for side in (draw_batches(20, 0), draw_batches(10, 20))
    ]
    assert compare(*alone, seed=1).is_different


def test_a_host_that_went_bad_is_named_and_its_pictures_shown() -> None:
    hosts = [CHANCE.integers(0, 5, 1_000), CHANCE.integers(0, 5, 400)]
    window = draw(400, hosts=hosts[1])
    bad = hosts[1] == 3
    window = replace(window, features=np.where(bad[:, None], window.features + 0.8, window.features))

    comparison = compare(draw(1_000, hosts=hosts[0]), window, seed=1)

    assert [test.segment for test in comparison.tests if test.segment and test.is_different] == [("hosts", 3)]
    assert comparison.driver is not None
    assert (comparison.driver.kind, comparison.driver.value) == ("hosts", 3)
    assert comparison.driver.pictures == bad.sum()
    assert comparison.driver.share_of_difference > 0.7
    assert bad[comparison.shown].all()


def test_light_and_sharpness_failures_and_disagreement_are_tests_of_their_own() -> None:
    def flag(share: float) -> Flags:
        return Flags(CHANCE.random(400) < share, np.zeros(400, dtype=np.int64), np.zeros(400, dtype=np.int64))

    def build(count: int, *, light: float, failing: float, contradicted: float) -> Side:
        statistics = CHANCE.normal(size=(count, 3)) + np.array([light, 0, 0])
        statistics[:5] = np.nan
        return draw(count, statistics=statistics, failures=flag(failing), disagreement=flag(contradicted))

    before = build(500, light=0, failing=0.02, contradicted=0.05)
    assert find_different(compare(before, build(300, light=1, failing=0.02, contradicted=0.05), seed=1)) == {STATISTICS}
    assert find_different(compare(before, build(300, light=0, failing=0.2, contradicted=0.05), seed=1)) == {FAILURES}
    assert find_different(compare(before, build(300, light=0, failing=0.02, contradicted=0.3), seed=1)) == {
        DISAGREEMENT
    }


def test_what_cannot_be_compared_is_refused() -> None:
    with pytest.raises(DriftInputError, match="100 pictures in the window, received 0"):
        compare(draw(300), draw(0), seed=1)
    with pytest.raises(DriftInputError, match="100 pictures in the reference, received 99"):
        compare(draw(99), draw(300), seed=1)
    single = draw(300)
    with pytest.raises(DriftInputError, match="one of a single group"):
        compare(replace(single, probabilities=np.tile(single.probabilities[:1], (300, 1))), draw(300), seed=1)
    with pytest.raises(DriftInputError, match="features of one size"):
        compare(replace(single, features=single.features[:, :8]), draw(300), seed=1)
    with pytest.raises(ValueError, match="of each picture"):
        replace(single, hosts=single.hosts[:5])


def test_a_mix_is_estimated_though_each_thing_is_uncertain() -> None:
    garments = CHANCE.choice(2, 5_000, p=[0.9, 0.1])
    evidence = CHANCE.normal(size=5_000) + 1.5 * garments
    odds = np.exp(1.5 * evidence - 1.5**2 / 2)  # calibrated for as many of both
    probabilities = np.column_stack([1 / (1 + odds), odds / (1 + odds)])

    assert probabilities[:, 1].mean() > 0.2
    assert estimate_mix(probabilities, prior=np.array([0.5, 0.5]))[1] == pytest.approx(0.1, abs=0.03)


def test_simulated_windows_alarm_as_often_as_they_say_and_shifts_are_found() -> None:
    outcome = judge(draw_material(), windows=8, shifted=1, seed=1)

    assert outcome["false_alarms"] <= 0.15
    assert outcome["alone"]["permuted"] == {"pictures": 4}
    assert outcome["in_batches"]["permuted"] == {"batches": 4}
    assert outcome["least_found"] == 1.0

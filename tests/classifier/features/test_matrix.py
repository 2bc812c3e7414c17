"""Nearest pictures by quantised features: exact, whatever quantisation takes, and few are compared wholly."""

import numpy as np
import pytest

from classifier.features import matrix
from classifier.features.matrix import FeatureMatrix, QuantisedFeatures
from tests.support.directions import draw, draw_along, normalise


def build(vectors: np.ndarray) -> FeatureMatrix:
    """Added in three steps, with axes found of the first third; ids from 100."""
    ids, units = np.arange(len(vectors)) + 100, normalise(vectors)
    third = -(-len(vectors) // 3)
    built = FeatureMatrix.for_sample(units[:third])
    for start in (0, third, 2 * third):
        built = built.add(ids[start : start + third], units[start : start + third])
    return built


@pytest.mark.parametrize("rows", [0, 5, 60, 3_000])
@pytest.mark.parametrize("part_rows, first_factor", [(4, 20), (1_500, 1), (1_500, 20), (10_000, 100)])
@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("kind", ["all axes alike", "few axes", "about one direction", "about nothing"])
def test_the_nearest_of_a_plain_comparison_are_candidates(
    rows: int, part_rows: int, first_factor: int, seed: int, kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(matrix, "BLOCK_NUMBERS", 1_000)
    monkeypatch.setattr(matrix, "PART_ROWS", part_rows)
    # So that there are groups enough among three thousand.
    monkeypatch.setattr(matrix, "GROUP_ROWS", 4)
    monkeypatch.setattr(matrix, "FIRST_FACTOR", first_factor)
    vectors = draw(rows, seed=seed) if kind == "all axes alike" else draw_along(8, rows, seed=seed)
    # Some all but agree, and some have one large number beside which the others are rounded to nothing.
    vectors[: rows // 3] = vectors[:1] + 1e-3 * vectors[: rows // 3]
    vectors[rows // 2 :, 7] *= 40
    if kind == "about one direction":
        vectors += 200 * draw(1)
    elif kind == "about nothing":
        vectors[1::2] = 0
    features = build(vectors)
    for wanted in (draw(1, seed=seed + 100)[0], *vectors[:1], *vectors[-2:]):
        wanted = normalise(wanted)
        cosines = normalise(vectors) @ wanted
        candidates = features.find_candidates(wanted, count=9)
        assert len(set(candidates)) == len(candidates) >= min(9, rows)
        missing = set(np.argsort(-cosines)[:9] + 100) - set(candidates)
        # Those that are as near may stand for each other.
        assert all(cosines[id - 100] <= np.sort(cosines[np.array(candidates) - 100])[-9] + 1e-6 for id in missing)


@pytest.mark.parametrize("numbers", [range(1, 16), range(16, 64)], ids=["leading", "rest"])
def test_what_quantisation_takes_is_held_for_whom_it_took_from(numbers: range) -> None:
    vectors = np.zeros((40, 64), "f4")
    vectors[:, 0] = 1
    # Of the nearest all but the first number is rounded to nothing: the others are exact, and nearer when rounded.
    vectors[:9, numbers] = 0.9 / 254
    vectors[9:, numbers[0]] = 4 / 127
    wanted = np.zeros(64, "f4")
    wanted[0], wanted[numbers] = 1, 1 / np.sqrt(len(numbers))
    quantised = QuantisedFeatures.of(np.arange(40), normalise(vectors))
    candidates = FeatureMatrix(np.zeros(64, "f4"), np.eye(64, dtype="f4"), (quantised,)).find_candidates(
        normalise(wanted), count=9
    )
    assert set(range(9)) == set(np.argsort(-normalise(vectors) @ normalise(wanted))[:9]) <= set(candidates)


def test_of_many_that_all_but_agree_the_nearest_by_quantised_features_are_candidates(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(matrix, "MOST_CANDIDATES", 50)
    vectors = draw(1) + 1e-3 * draw(3_000, seed=2)
    vectors[2_900:] = -vectors[2_900:]
    features, wanted = build(vectors), normalise(vectors[0])
    assert len(features.find_candidates(wanted, count=9)) == 50
    assert len(features.find_candidates(wanted, count=60)) == 60
    cosines = normalise(vectors) @ wanted
    candidates = np.array(features.find_candidates(wanted, count=9)) - 100
    assert cosines[candidates].min() >= np.sort(cosines)[-50] - 2 * max(part.errors.max() for part in features.parts)


def test_candidates_are_few_where_directions_differ() -> None:
    features = build(draw(20_000))
    assert 9 <= len(features.find_candidates(normalise(draw(1, seed=2)[0]), count=9)) < 27


def test_only_those_that_their_leading_numbers_bring_near_are_compared_wholly(monkeypatch: pytest.MonkeyPatch) -> None:
    features, compared = build(draw_along(8, 20_000)), []
    multiply = matrix._multiply
    monkeypatch.setattr(
        matrix, "_multiply", lambda numbers, vector: compared.append(numbers.shape) or multiply(numbers, vector)
    )
    features.find_candidates(normalise(draw_along(8, 1, seed=2)[0]), count=9)
    assert sum(rows for rows, width in compared if width == 16) == 20_000
    assert 9 <= sum(rows for rows, width in compared if width == 48) < 400

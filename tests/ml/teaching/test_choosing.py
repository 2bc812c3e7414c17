"""Which pictures are worth a person's look."""

import numpy as np

from classifier.ml.teaching.choosing import ENOUGH_REVIEWS, choose_useful, find_contradicted

NOTHING, NO_GROUPS = np.empty((0, 8), dtype=np.float32), np.empty(0, dtype=np.int64)
EVEN = np.full(5, 0.2)


def _around(axis: int, *, count: int, spread: float = 0.15, seed: int = 0) -> np.ndarray:
    """Features of length 1 around an axis of eight."""
    noise = spread * np.random.default_rng(seed + axis).standard_normal((count, 8))
    features = np.eye(8)[axis] + noise
    return features / np.linalg.norm(features, axis=1, keepdims=True)


def _says(group: int, confidence: float = 0.96) -> np.ndarray:
    rest = (1 - confidence) / 4
    return np.where(np.arange(5) == group, confidence, rest)


def test_at_first_one_typical_picture_of_each_dense_region_is_chosen() -> None:
    regions = [_around(axis, count=30) for axis in range(5)]
    odd = -_around(7, count=1)
    candidates = np.vstack([*regions, odd])
    probabilities = np.vstack([np.tile(_says(group), (30, 1)) for group in range(5)] + [EVEN[None]])
    chosen = choose_useful(candidates, probabilities=probabilities, reviewed=NOTHING, groups=NO_GROUPS, count=5)
    assert sorted((chosen // 30).tolist()) == [0, 1, 2, 3, 4]
    for index in chosen:
        region = candidates[index // 30 * 30 :][:30]
        typical = region @ region.mean(axis=0)
        assert typical[index % 30] > np.quantile(typical, 0.25)


def test_what_is_reviewed_already_is_not_asked_again() -> None:
    candidates = np.vstack([_around(0, count=40), _around(1, count=10)])
    probabilities = np.tile(EVEN, (50, 1))
    groups = np.zeros(20, dtype=np.int64)
    reviewed = _around(0, count=20, seed=9)
    chosen = choose_useful(candidates, probabilities=probabilities, reviewed=reviewed, groups=groups, count=2)
    assert chosen[0] >= 40
    # Nearly the same picture as a reviewed one is not chosen at all.
    assert not len(
        choose_useful(candidates[:1], probabilities=EVEN[None], reviewed=candidates[:1], groups=groups[:1], count=1)
    )


def test_later_pictures_between_two_groups_come_first() -> None:
    between = np.eye(8)[0] + np.eye(8)[1] + 0.1 * np.random.default_rng(3).standard_normal((6, 8))
    between /= np.linalg.norm(between, axis=1, keepdims=True)
    candidates = np.vstack([_around(0, count=30), _around(1, count=30), between])
    probabilities = np.vstack([np.tile(_says(0), (30, 1)), np.tile(_says(1), (30, 1)), np.tile(_says(0, 0.5), (6, 1))])
    half = ENOUGH_REVIEWS // 2
    reviewed = np.vstack([_around(0, count=half, seed=20), _around(1, count=half, seed=20)])
    groups = np.repeat([0, 1], half)
    chosen = choose_useful(candidates, probabilities=probabilities, reviewed=reviewed, groups=groups, count=3)
    assert (chosen >= 60).sum() >= 2


def test_at_most_half_are_taken_for_one_group() -> None:
    candidates = np.vstack([_around(axis, count=20, spread=0.3) for axis in range(6)])
    probabilities = np.vstack([np.tile(_says(0), (100, 1)), np.tile(_says(3), (20, 1))])
    chosen = choose_useful(candidates, probabilities=probabilities, reviewed=NOTHING, groups=NO_GROUPS, count=8)
    assert (chosen < 100).sum() == (chosen >= 100).sum() == 4


def test_of_pictures_that_are_nearly_the_same_one_is_chosen() -> None:
    candidates = np.vstack([np.tile(_around(axis, count=1), (10, 1)) for axis in range(3)])
    chosen = choose_useful(
        candidates, probabilities=np.tile(EVEN, (30, 1)), reviewed=NOTHING, groups=NO_GROUPS, count=2
    )
    assert len(set((chosen // 10).tolist())) == len(chosen) == 1
    probabilities = np.vstack([np.tile(_says(group), (10, 1)) for group in range(3)])
    chosen = choose_useful(candidates, probabilities=probabilities, reviewed=NOTHING, groups=NO_GROUPS, count=12)
    assert sorted((chosen // 10).tolist()) == [0, 1, 2]


def test_what_is_none_of_the_five_covers_its_region_and_speaks_for_no_group() -> None:
    candidates = np.vstack([_around(0, count=20), _around(1, count=10)])
    reviewed, groups = _around(0, count=10, seed=5), np.full(10, -1)
    chosen = choose_useful(candidates, probabilities=np.tile(EVEN, (30, 1)), reviewed=reviewed, groups=groups, count=2)
    assert chosen[0] >= 20


def test_of_no_candidates_none_is_chosen() -> None:
    chosen = choose_useful(NOTHING, probabilities=np.empty((0, 5)), reviewed=NOTHING, groups=NO_GROUPS, count=12)
    assert chosen.shape == (0,)


def test_a_label_that_no_near_reviewed_picture_shares_is_contradicted() -> None:
    candidates = np.vstack([_around(0, count=2), _around(1, count=2)])
    probabilities = np.tile(_says(0), (4, 1))
    reviewed, groups = np.vstack([_around(0, count=5, seed=7), _around(1, count=5, seed=7)]), np.repeat([0, 3], 5)
    doubt = find_contradicted(candidates, probabilities=probabilities, reviewed=reviewed, groups=groups)
    assert doubt[:2].tolist() == [0, 0]
    assert (doubt[2:] > 0.3).all()
    nobody = find_contradicted(candidates, probabilities=probabilities, reviewed=NOTHING, groups=NO_GROUPS)
    assert nobody.tolist() == [0, 0, 0, 0]

"""Copies are found, all of them and nothing else."""

import numpy as np
import pytest

from classifier.ml.data import duplicates
from classifier.ml.data.duplicates import PicturePairs, find_exact_duplicates, find_near_duplicates
from tests.support.drawings import SIDE


def draw_blobs(count: int, *, seed: int) -> np.ndarray:
    """Smooth bright shapes, many of them alike, uint8[count, 28, 28]."""
    generator = np.random.default_rng(seed)
    rows, columns = np.mgrid[0:SIDE, 0:SIDE]
    centres = generator.uniform(8, 20, size=(count, 2, 1, 1))
    widths = generator.uniform(3, 7, size=(count, 1, 1))
    distance = (rows - centres[:, 0]) ** 2 + (columns - centres[:, 1]) ** 2
    return (255 * np.exp(-distance / (2 * widths**2))).astype(np.uint8)


def find_by_comparing_all(images: np.ndarray, *, distance: float) -> set[tuple[int, int]]:
    pixels = images.reshape(len(images), -1).astype(np.float64)
    pixels /= np.linalg.norm(pixels, axis=1, keepdims=True)
    return {
        (first, second)
        for first in range(len(pixels))
        for second in range(first + 1, len(pixels))
        if np.linalg.norm(pixels[first] - pixels[second]) <= distance
    }


@pytest.mark.parametrize("block", [7, 2048])
def test_no_pair_is_missed_and_none_is_made_up(block, monkeypatch):
    monkeypatch.setattr(duplicates, "_BLOCK", block)
    images = draw_blobs(60, seed=3)

    pairs = find_near_duplicates(images, distance=0.25)

    expected = find_by_comparing_all(images, distance=0.25)
    assert len(expected) > 20
    assert {(int(first), int(second)) for first, second in pairs.indices} == expected
    assert (np.diff(pairs.distances) >= 0).all()


def test_a_darker_copy_is_a_near_duplicate_and_a_moved_one_is_not():
    picture = draw_blobs(1, seed=1)[0]
    images = np.stack([picture, picture // 2, np.roll(picture, 4, axis=1)])

    pairs = find_near_duplicates(images, distance=0.08)

    assert pairs.indices.tolist() == [[0, 1]]
    assert 0 < pairs.distances[0] < 0.02


def test_within_keeps_the_closest_pairs():
    pairs = PicturePairs(
        indices=np.array([[0, 1], [2, 3], [4, 5]]), distances=np.array([0.01, 0.08, 0.09], dtype=np.float32)
    )

    assert pairs.within(0.085).indices.tolist() == [[0, 1], [2, 3]]
    assert pairs.within(0.0).indices.shape == (0, 2)


@pytest.mark.parametrize("distance", [-0.1, 1.0])
def test_a_distance_out_of_range_is_refused(distance):
    with pytest.raises(ValueError, match="expected a distance from 0 to below 1"):
        find_near_duplicates(draw_blobs(2, seed=1), distance=distance)


def test_exact_duplicates_are_paired_with_the_first_of_their_kind():
    images = draw_blobs(4, seed=5)
    images[2], images[3] = images[0], images[0]

    assert find_exact_duplicates(images).indices.tolist() == [[0, 2], [0, 3]]


def test_pictures_that_differ_in_one_pixel_are_not_exact_duplicates():
    images = np.repeat(draw_blobs(1, seed=5), 2, axis=0)
    images[1, 0, 0] += 1

    assert find_exact_duplicates(images).indices.shape == (0, 2)

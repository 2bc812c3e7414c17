"""Fingerprints: one photograph is found again however it was altered, and others are others."""

import numpy as np
import pytest

from classifier.ml.data.fingerprints import (
    MAXIMUM_DIFFERENCE,
    NearFinder,
    build_band,
    build_fingerprint,
    is_plain,
    list_bands,
    measure_differences,
    measure_tones,
)
from tests.support.photographs import alter, draw_photograph


def fingerprint(picture) -> np.ndarray:
    return build_fingerprint(np.asarray(picture.convert("RGB")))


@pytest.mark.parametrize("seed", range(5))
def test_an_altered_photograph_is_the_same_and_another_is_not(seed: int) -> None:
    choose = np.random.default_rng(seed)
    photograph = draw_photograph(choose)
    first, second = (fingerprint(alter(photograph, choose)) for _ in range(2))
    other = fingerprint(draw_photograph(choose))
    same, different = measure_differences(first, np.stack([second, other]))
    assert same <= MAXIMUM_DIFFERENCE < different
    assert build_band(measure_tones(second)) in list_bands(measure_tones(first))


def test_a_mirrored_picture_has_the_same_tones_and_no_difference() -> None:
    picture = fingerprint(draw_photograph(np.random.default_rng(3)))
    mirrored = np.ascontiguousarray(picture[:, ::-1])
    assert measure_tones(mirrored) == measure_tones(picture)
    assert measure_differences(picture, mirrored[np.newaxis])[0] == pytest.approx(0, abs=1e-6)


def test_plain_pictures_say_too_little() -> None:
    assert is_plain(np.full((32, 32, 3), 250, np.uint8))
    assert not is_plain(fingerprint(draw_photograph(np.random.default_rng(3))))


def test_no_others_have_no_differences() -> None:
    picture = fingerprint(draw_photograph(np.random.default_rng(3)))
    assert measure_differences(picture, np.empty((0, 32, 32, 3), np.uint8)).shape == (0,)


def test_of_many_those_of_the_same_photograph_are_found_for_each_at_once() -> None:
    choose = np.random.default_rng(4)
    photographs = [draw_photograph(choose) for _ in range(3)]
    asked = np.stack([fingerprint(alter(photographs[place], choose)) for place in (0, 2)])
    others = np.stack([fingerprint(alter(photographs[place], choose)) for place in (2, 1, 0, 2)])
    finder = NearFinder(asked)
    found = finder.find(others)
    assert [sorted(places) for places in found] == [[2], [0, 3]]
    for one, places in zip(asked, found, strict=True):
        differences = measure_differences(one, others)
        assert list(places.values()) == pytest.approx([differences[place] for place in places])
    assert finder.count == 2
    assert {build_band(measure_tones(other)) for other in others[[0, 2, 3]]} <= set(finder.bands)
    last = np.array([measure_tones(other)[3:] for other in others[[0, 2, 3]]])
    assert (last >= finder.lowest).all()
    assert (last <= finder.highest).all()
    assert finder.find(others[:0]) == [{}, {}]
    assert [sorted(places) for places in NearFinder(others).find_before()] == [[], [], [], [0]]

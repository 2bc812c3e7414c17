"""Kinds of clothing that Fashion-MNIST has not, as they are drawn."""

import numpy as np
import pytest

from classifier.ml.data.drawn_kinds import DrawnPicture, draw_backpack, draw_shoe_pair, draw_shorts_or_skirt
from classifier.ml.labels import GARMENTS
from tests.support.drawings import draw_dataset

DATASET = draw_dataset(train_per_label=1)
TEXTURE, TROUSERS = DATASET.train_images[0], DATASET.train_images[1]


def draw(kind: str, seed: int) -> DrawnPicture:
    generator = np.random.default_rng(seed)
    if kind == "shoes":
        return draw_shoe_pair(TEXTURE, generator=generator)
    if kind == "shorts":
        return draw_shorts_or_skirt(TEXTURE, trousers=TROUSERS if seed % 2 else None, generator=generator)
    return draw_backpack(TEXTURE, generator=generator)


@pytest.mark.parametrize("kind", ["shoes", "shorts", "backpack"])
def test_a_drawn_picture_is_a_canonical_form(kind: str) -> None:
    for seed in range(60):
        picture = draw(kind, seed).picture
        assert (picture.shape, picture.dtype) == ((28, 28), np.uint8)
        # Bright on black, and as large as the frame.
        assert picture.max() >= 200
        assert 0.03 < (picture > 60).mean() <= 1
        rows, columns = np.flatnonzero((picture > 12).any(axis=1)), np.flatnonzero((picture > 12).any(axis=0))
        assert max(np.ptp(rows), np.ptp(columns)) >= 24


def test_shoes_may_be_any_footwear_or_what_laces_and_straps_make_them() -> None:
    labels = {draw("shoes", seed).labels for seed in range(60)}
    names = {tuple(GARMENTS[label] for label in one) for one in labels}
    assert names == {("Sandal", "Sneaker", "Ankle boot"), ("Sandal",), ("Sneaker",)}


def test_most_shoes_are_two() -> None:
    pairs = 0
    for seed in range(100):
        picture = draw("shoes", seed).picture > 60
        # In some direction a line through the middle finds ground between two shoes.
        middle = picture[10:18].any(axis=0), picture[:, 10:18].any(axis=1)
        pairs += any(np.flatnonzero(np.diff(line.astype(int)) == 1).size + line[0] >= 2 for line in middle)
    assert pairs > 40


def test_shorts_and_backpacks_are_what_their_groups_have() -> None:
    assert {draw("shorts", seed).labels for seed in range(10)} == {(GARMENTS.index("Trouser"),)}
    assert {draw("backpack", seed).labels for seed in range(10)} == {(GARMENTS.index("Bag"),)}

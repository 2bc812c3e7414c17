"""Training pictures altered as shops show garments."""

import numpy as np
import pytest

from classifier.ml.data.canvas import Lender
from classifier.ml.data.shop_pictures import alter_for_shop, leave_edge, show_outline
from classifier.ml.data.worn import wear
from classifier.ml.labels import GROUPS
from tests.support.drawings import draw_dataset

DATASET = draw_dataset(train_per_label=4)


@pytest.mark.parametrize("label", range(10))
def test_a_shop_picture_of_every_garment_is_bright_and_of_the_same_size(label: int) -> None:
    picture = DATASET.train_images[label]
    for seed in range(25):
        altered = alter_for_shop(
            picture,
            label=label,
            others=DATASET.train_images,
            other_labels=DATASET.train_labels,
            generator=np.random.default_rng(seed),
        )
        assert altered.shape == (28, 28)
        assert altered.dtype == np.uint8
        assert altered.max() >= 200


@pytest.mark.parametrize("value", [0, 255])
def test_an_empty_or_full_picture_can_be_altered(value: int) -> None:
    picture = np.full((28, 28), value, dtype=np.uint8)
    for seed in range(40):
        for label in (0, 1, 3, 7, 8):
            altered = alter_for_shop(
                picture,
                label=label,
                others=picture[None],
                other_labels=np.array([label]),
                generator=np.random.default_rng(seed),
            )
            assert altered.shape == (28, 28)


@pytest.mark.parametrize("group", GROUPS)
def test_what_is_worn_is_drawn_at_twice_the_size(group: str) -> None:
    generator = np.random.default_rng(1)
    lender = Lender(DATASET.train_images, labels=DATASET.train_labels, generator=generator)
    shapes = [wear(DATASET.train_images[0], group=group, lender=lender, generator=generator).shape for _ in range(20)]
    assert {max(shape) for shape in shapes} == {56}


def test_a_top_that_is_worn_has_a_person_above_or_below_it() -> None:
    generator = np.random.default_rng(1)
    lender = Lender(DATASET.train_images, labels=DATASET.train_labels, generator=generator)
    block = np.full((28, 28), 200, dtype=np.uint8)
    worn = [wear(block, group="Upper part", lender=lender, generator=generator) for _ in range(30)]
    assert np.mean([picture.shape[0] > 1.2 * picture.shape[1] for picture in worn]) > 0.8


def test_an_outline_keeps_the_edge_and_darkens_what_is_within() -> None:
    block = np.zeros((28, 28), dtype=np.uint8)
    block[6:22, 8:20] = 200
    for seed in range(20):
        outline = show_outline(block, generator=np.random.default_rng(seed)).astype(float)
        edge = np.concatenate([outline[6, 8:20], outline[21, 8:20]])
        assert edge.mean() > outline[10:18, 11:17].mean() + 20
        assert outline[:4].max() == 0


def test_an_edge_is_left_at_some_sides_and_the_middle_stays() -> None:
    block = np.zeros((28, 28), dtype=np.uint8)
    block[6:22, 8:20] = 255
    for seed in range(30):
        left = leave_edge(block, generator=np.random.default_rng(seed))
        assert (left[11:17, 11:17] == 255).all()
        sides = [left[0, 1:-1], left[-1, 1:-1], left[1:-1, 0], left[1:-1, -1]]
        assert all(len(set(side.tolist())) <= 3 for side in sides)
    some = [leave_edge(block, generator=np.random.default_rng(seed))[:, 0].max() > 0 for seed in range(60)]
    assert 0 < np.mean(some) < 1

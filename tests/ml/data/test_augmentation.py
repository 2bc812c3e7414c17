"""What happens to training pictures."""

import numpy as np
import pytest
from numpy.typing import NDArray

from classifier.ml.config import NO_AUGMENTATION, AugmentationSpec
from classifier.ml.data.augmentation import augment, draw_outlier
from classifier.ml.data.shop_pictures import alter_for_shop
from tests.support.drawings import draw_dataset

DATASET = draw_dataset(train_per_label=4)
PICTURES = DATASET.train_images[..., None]
TARGETS = np.eye(10, dtype=np.float32)[DATASET.train_labels]


def run(spec: AugmentationSpec, *, seed: int = 1) -> tuple[NDArray[np.uint8], NDArray[np.float32]]:
    return augment(PICTURES, targets=TARGETS, spec=spec, generator=np.random.default_rng(seed))


def test_nothing_asked_for_changes_nothing() -> None:
    pictures, targets = run(NO_AUGMENTATION)
    np.testing.assert_array_equal(pictures, PICTURES)
    np.testing.assert_array_equal(targets, TARGETS)


def test_the_same_generator_state_gives_the_same_pictures() -> None:
    spec = AugmentationSpec(shop_share=0.5, outlier_share=0.2)
    first, again, other = run(spec), run(spec), run(spec, seed=2)
    np.testing.assert_array_equal(first[0], again[0])
    np.testing.assert_array_equal(first[1], again[1])
    assert (first[0] != other[0]).any()


def test_the_pictures_and_targets_given_are_not_changed() -> None:
    pictures, targets = PICTURES.copy(), TARGETS.copy()
    run(AugmentationSpec(erase_share=1.0, shop_share=1.0, outlier_share=0.5))
    np.testing.assert_array_equal(PICTURES, pictures)
    np.testing.assert_array_equal(TARGETS, targets)


def test_a_flip_and_a_shift_move_pixels_and_make_none() -> None:
    pictures, _ = run(AugmentationSpec(erase_share=0.0))
    # The drawn rectangles stand at least one pixel from the frame; a shift of two may cut one row and column.
    assert set(np.unique(pictures)) <= set(np.unique(PICTURES))
    assert (pictures != PICTURES).any()
    moved, _ = run(AugmentationSpec(flip=True, shift_pixels=0, erase_share=0.0))
    is_flipped = (moved == PICTURES[:, :, ::-1]).all(axis=(1, 2, 3))
    is_same = (moved == PICTURES).all(axis=(1, 2, 3))
    assert (is_flipped | is_same).all()
    assert is_flipped.any()


def test_outliers_have_the_same_target_for_every_garment() -> None:
    _, targets = run(AugmentationSpec(outlier_share=1.0))
    np.testing.assert_allclose(targets, np.full_like(TARGETS, 0.1))


def test_targets_of_shop_pictures_stay() -> None:
    pictures, targets = run(AugmentationSpec(flip=False, shift_pixels=0, erase_share=0.0, shop_share=1.0))
    np.testing.assert_array_equal(targets, TARGETS)
    assert (pictures != PICTURES).any(axis=(1, 2, 3)).mean() > 0.5


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


def test_outliers_are_of_several_kinds() -> None:
    generator = np.random.default_rng(0)
    drawn = [draw_outlier(DATASET.train_images[0], generator=generator) for _ in range(40)]
    assert {picture.shape for picture in drawn} == {(28, 28)}
    spreads = [float(picture.std()) for picture in drawn]
    assert min(spreads) == 0.0
    assert max(spreads) > 60.0

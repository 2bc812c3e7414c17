"""What happens to training pictures."""

import dataclasses

import numpy as np
import pytest

from classifier.ml.config import NO_AUGMENTATION, AugmentationSpec
from classifier.ml.data.augmentation import Examples, augment
from classifier.ml.data.outliers import draw_outlier
from classifier.ml.labels import FOOTWEAR, GARMENTS, GROUP_OF_GARMENT, group_labels, group_probabilities
from tests.support.drawings import draw_dataset

DATASET = draw_dataset(train_per_label=4)
PICTURES = DATASET.train_images[..., None]
TARGETS = np.eye(10, dtype=np.float32)[DATASET.train_labels]
EVERYTHING = AugmentationSpec(
    **{item.name: 0.3 for item in dataclasses.fields(AugmentationSpec) if item.name.endswith("_share")}
)


def run(spec: AugmentationSpec, *, seed: int = 1) -> Examples:
    return augment(PICTURES, targets=TARGETS, spec=spec, generator=np.random.default_rng(seed))


def test_nothing_asked_for_changes_nothing() -> None:
    examples = run(NO_AUGMENTATION)
    np.testing.assert_array_equal(examples.pictures, PICTURES)
    np.testing.assert_array_equal(examples.targets, TARGETS)
    assert examples.garment_known.all()


def test_the_same_generator_state_gives_the_same_pictures() -> None:
    first, again, other = run(EVERYTHING), run(EVERYTHING), run(EVERYTHING, seed=2)
    np.testing.assert_array_equal(first.pictures, again.pictures)
    np.testing.assert_array_equal(first.targets, again.targets)
    np.testing.assert_array_equal(first.garment_known, again.garment_known)
    assert (first.pictures != other.pictures).any()


def test_the_pictures_and_targets_given_are_not_changed() -> None:
    pictures, targets = PICTURES.copy(), TARGETS.copy()
    run(EVERYTHING)
    np.testing.assert_array_equal(PICTURES, pictures)
    np.testing.assert_array_equal(TARGETS, targets)


def test_a_flip_and_a_shift_move_pixels_and_make_none() -> None:
    pictures = run(AugmentationSpec(erase_share=0.0)).pictures
    # The drawn rectangles stand at least one pixel from the frame; a shift of two may cut one row and column.
    assert set(np.unique(pictures)) <= set(np.unique(PICTURES))
    assert (pictures != PICTURES).any()
    moved = run(AugmentationSpec(flip=True, shift_pixels=0, erase_share=0.0)).pictures
    is_flipped = (moved == PICTURES[:, :, ::-1]).all(axis=(1, 2, 3))
    is_same = (moved == PICTURES).all(axis=(1, 2, 3))
    assert (is_flipped | is_same).all()
    assert is_flipped.any()


def test_outliers_have_the_same_target_for_every_group() -> None:
    examples = run(AugmentationSpec(outlier_share=1.0))
    np.testing.assert_allclose(group_probabilities(examples.targets), np.full((len(TARGETS), 5), 0.2), rtol=1e-6)
    footwear = [GARMENTS.index(name) for name in ("Sandal", "Sneaker", "Ankle boot")]
    np.testing.assert_allclose(examples.targets[:, footwear], 0.2 / 3, rtol=1e-6)
    assert examples.garment_known.all()


@pytest.mark.parametrize("name", ["shop_share", "worn_share", "outline_share", "edge_share"])
def test_alterations_change_pictures_and_leave_their_targets(name: str) -> None:
    examples = run(AugmentationSpec(flip=False, shift_pixels=0, erase_share=0.0, **{name: 1.0}))
    np.testing.assert_array_equal(examples.targets, TARGETS)
    assert examples.garment_known.all()
    assert (examples.pictures != PICTURES).any(axis=(1, 2, 3)).mean() > 0.5


@pytest.mark.parametrize(
    "name, group", [("shoe_pair_share", "Footwear"), ("shorts_share", "Bottom part"), ("backpack_share", "Bags")]
)
def test_a_drawn_kind_has_the_target_of_its_group(name: str, group: str) -> None:
    examples = run(AugmentationSpec(flip=False, shift_pixels=0, erase_share=0.0, **{name: 1.0}))
    expected = [float(GROUP_OF_GARMENT[garment] == group) for garment in GARMENTS]
    assert {GROUP_OF_GARMENT[GARMENTS[label]] for label in examples.targets.argmax(axis=1)} == {group}
    np.testing.assert_allclose(examples.targets @ np.array(expected), 1.0, rtol=1e-6)
    # Only where one garment has all of the target is it known.
    np.testing.assert_array_equal(examples.garment_known, examples.targets.max(axis=1) == 1.0)
    assert examples.garment_known.all() == (group != FOOTWEAR)


def test_kinds_are_drawn_as_often_as_asked_and_the_rest_stays() -> None:
    pictures, labels = np.repeat(PICTURES, 20, axis=0), np.repeat(DATASET.train_labels, 20)
    spec = AugmentationSpec(flip=False, shift_pixels=0, erase_share=0.0, shoe_pair_share=0.3, backpack_share=0.1)
    targets = np.eye(10, dtype=np.float32)[labels]
    examples = augment(pictures, targets=targets, spec=spec, generator=np.random.default_rng(0))
    drawn = (examples.pictures != pictures).any(axis=(1, 2, 3))
    # 800 pictures: three standard errors are 0.05.
    assert drawn.mean() == pytest.approx(0.4, abs=0.05)
    np.testing.assert_array_equal(examples.targets[~drawn], targets[~drawn])
    footwear = group_labels(examples.targets[drawn].argmax(axis=1)) == 3
    assert footwear.mean() == pytest.approx(0.75, abs=0.08)


def test_outliers_are_of_several_kinds() -> None:
    generator = np.random.default_rng(0)
    others = DATASET.train_images
    drawn = [draw_outlier(others[0], others=others, generator=generator) for _ in range(80)]
    assert {picture.shape for picture in drawn} == {(28, 28)}
    assert {picture.dtype for picture in drawn} == {np.dtype(np.uint8)}
    spreads = [float(picture.std()) for picture in drawn]
    assert min(spreads) == 0.0
    assert max(spreads) > 60.0
    # One of the data set's pictures is in no picture that shows none.
    assert not any((picture == other).all() for picture in drawn for other in others)

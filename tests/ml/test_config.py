"""Recipes and specifications."""

import dataclasses
import json
from typing import Any

import pytest

from classifier.ml.config import (
    DEFAULT_RECIPE,
    RECIPES,
    AugmentationSpec,
    ConfigurationError,
    PreprocessingSpec,
    get_recipe,
)
from classifier.ml.judging.published import PUBLISHED


@pytest.mark.parametrize("name", list(RECIPES))
def test_a_recipe_has_its_name_and_is_json(name: str) -> None:
    recipe = get_recipe(name)
    assert recipe.name == name
    kept = dataclasses.asdict(recipe)
    assert json.loads(json.dumps(kept)) == kept


def test_what_is_drawn_for_shops_is_drawn_to_the_last_epoch() -> None:
    recipe = get_recipe("drawn")
    first, last = recipe.augmentation_in_epoch(1), recipe.augmentation_in_epoch(recipe.epochs)
    for name in ("worn_share", "outline_share", "edge_share", "shoe_pair_share", "shorts_share", "backpack_share"):
        assert getattr(first, name) == getattr(last, name) > 0
    assert first.shop_share > last.shop_share


def test_an_unknown_recipe_is_answered_with_the_known_ones() -> None:
    with pytest.raises(ConfigurationError, match=f"out of {DEFAULT_RECIPE}.*received 'best'"):
        get_recipe("best")


@pytest.mark.parametrize(
    "changes, message",
    [
        ({"network_size": 16}, "network_size from 32 to 224 pixels, received 16"),
        ({"alpha": 0.4}, "alpha one of"),
        ({"epochs": 0}, "at least 1 epoch, received 0"),
        ({"batch_size": 1}, "batch_size of at least 2, received 1"),
        ({"learning_rate": 0.0}, "positive learning_rate"),
        ({"weight_decay": -0.1}, "weight_decay of 0 or more"),
        ({"dropout": 1.0}, "dropout from 0 to below 1"),
        ({"group_loss_weight": -1.0}, "group_loss_weight of 0 or more"),
        ({"first_size": 16}, "first_size from 32 to 64 pixels or none, received 16"),
        ({"first_size": 80}, "first_size from 32 to 64 pixels or none, received 80"),
        ({"feature_copies": 0}, "at least 1 of feature_copies, received 0"),
        ({"patience": 0}, "patience of at least 1 epoch"),
        ({"ema_decay": 1.0}, "ema_decay between 0 and 1 or none, received 1.0"),
        ({"members": 3}, "1, 2 or 4 members, received 3"),
        ({"name": ""}, "a recipe name"),
    ],
)
def test_a_recipe_that_cannot_work_is_refused(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigurationError, match=message):
        dataclasses.replace(get_recipe(DEFAULT_RECIPE), **changes)


@pytest.mark.parametrize(
    "name", [item.name for item in dataclasses.fields(AugmentationSpec) if item.name.endswith("_share")]
)
def test_shares_lie_between_nothing_and_all(name: str) -> None:
    with pytest.raises(ConfigurationError, match=f"{name} from 0 to 1, received 1.5"):
        AugmentationSpec(**{name: 1.5})


def test_drawn_kinds_share_the_pictures() -> None:
    with pytest.raises(ConfigurationError, match=r"drawn kinds of together at most 1, received 1\.2"):
        AugmentationSpec(shoe_pair_share=0.5, shorts_share=0.4, backpack_share=0.3)


def test_a_head_learns_from_pictures_that_show_what_their_labels_say() -> None:
    for name in ("outlier_share", "shoe_pair_share"):
        with pytest.raises(ConfigurationError, match="keeps labels where only the head learns"):
            dataclasses.replace(get_recipe("frozen"), augmentation=AugmentationSpec(**{name: 0.1}))


@pytest.mark.parametrize(
    "changes, message",
    [
        ({"size": 4}, "size from 8 to 224 pixels, received 4"),
        ({"working_size": 20}, "working_size from 28 to 1024 pixels, received 20"),
        ({"distance_floor": 0}, "distance_floor from 1 to 255"),
        ({"object_share": 1.0}, "object_share from 0 to 1"),
    ],
)
def test_a_preprocessing_that_cannot_work_is_refused(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigurationError, match=message):
        PreprocessingSpec(**changes)


def test_every_published_column_is_answered_by_a_recipe() -> None:
    answered = {name: recipe.published_column for name, recipe in RECIPES.items()}
    # The default answers all of them, and so does what follows it; what titles and reviews teach answers none.
    others = (DEFAULT_RECIPE, "drawn", "continued", "titles", "reviewed")
    assert [answered.pop(name) for name in others] == [None] * len(others)
    assert sorted(map(str, answered.values())) == sorted(PUBLISHED)


def test_pictures_grow_to_the_full_size_and_stay_there() -> None:
    recipe = dataclasses.replace(get_recipe(DEFAULT_RECIPE), epochs=10, first_size=32, network_size=64)
    sizes = [recipe.size_in_epoch(epoch) for epoch in range(1, 11)]
    assert sizes == [32, 32, 32, 48, 48, 48, 64, 64, 64, 64]
    assert dataclasses.replace(recipe, first_size=None).size_in_epoch(1) == 64
    assert dataclasses.replace(recipe, epochs=1).size_in_epoch(1) == 64


def test_augmentation_moves_from_the_first_shares_to_the_last() -> None:
    recipe = dataclasses.replace(
        get_recipe(DEFAULT_RECIPE),
        epochs=3,
        augmentation=AugmentationSpec(erase_share=0.3, shop_share=0.4, outlier_share=0.1),
        final_augmentation=AugmentationSpec(erase_share=0.1, shop_share=0.2, outlier_share=0.0),
    )
    shares = [recipe.augmentation_in_epoch(epoch) for epoch in (1, 2, 3)]
    assert (shares[0], shares[2]) == (recipe.augmentation, recipe.final_augmentation)
    assert (shares[1].erase_share, shares[1].shop_share, shares[1].outlier_share) == pytest.approx((0.2, 0.3, 0.05))
    constant = dataclasses.replace(recipe, final_augmentation=None)
    assert constant.augmentation_in_epoch(3) == recipe.augmentation

"""The published tables, and which of their cells are higher than ours."""

from dataclasses import replace

import pytest

from classifier.ml.config import RECIPES
from classifier.ml.judging.evaluation import GroupScores
from classifier.ml.judging.published import BEST_PUBLISHED, CELLS, PUBLISHED, count_higher_cells, is_reached
from classifier.ml.labels import GROUPS


def test_four_columns_of_fifteen_cells() -> None:
    assert CELLS == 60
    assert list(PUBLISHED) == [
        "MobileNetV2, frozen",
        "MobileNetV2, frozen, augmented",
        "MobileNetV2, all layers trained",
        "SqueezeNet 1.1, all layers trained",
    ]
    for result in PUBLISHED.values():
        assert tuple(result.scores) == GROUPS
    assert PUBLISHED["MobileNetV2, frozen"].scores["One piece"] == GroupScores(0.88, 0.73, 0.99)
    assert PUBLISHED["SqueezeNet 1.1, all layers trained"].parameters == 855_109
    assert PUBLISHED["MobileNetV2, frozen, augmented"].seconds is None


def test_the_best_of_each_cell() -> None:
    assert dict(BEST_PUBLISHED) == {
        "Upper part": GroupScores(0.96, 0.99, 0.97),
        "Bottom part": GroupScores(0.99, 0.99, 1.0),
        "One piece": GroupScores(0.96, 0.86, 1.0),
        "Footwear": GroupScores(1.0, 1.0, 1.0),
        "Bags": GroupScores(0.99, 0.99, 1.0),
    }


@pytest.mark.parametrize(
    "published,ours,reached",
    [(0.99, 0.985, True), (0.99, 0.98499, False), (1.0, 0.995, True), (1.0, 0.9949, False), (0.29, 0.285, True)],
)
def test_ours_reaches_a_figure_when_it_rounds_to_it(published: float, ours: float, reached: bool) -> None:
    assert is_reached(published, ours=ours) is reached


def test_the_best_published_figures_reach_every_cell() -> None:
    assert count_higher_cells(BEST_PUBLISHED) == dict.fromkeys(PUBLISHED, 0)


def test_higher_cells_are_counted_in_each_column() -> None:
    ours = {**BEST_PUBLISHED, "One piece": replace(BEST_PUBLISHED["One piece"], recall=0.885, precision=0.81)}
    assert count_higher_cells(ours) == dict.fromkeys(PUBLISHED, 0) | {"MobileNetV2, all layers trained": 2}


def test_every_recipe_answers_a_published_column_or_none() -> None:
    assert {recipe.published_column for recipe in RECIPES.values()} <= {None, *PUBLISHED}

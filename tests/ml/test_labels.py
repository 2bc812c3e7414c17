"""The ten garments, the five groups and the table between them."""

import numpy as np
import pytest

from classifier.ml.labels import (
    GARMENTS,
    GROUP_OF_GARMENT,
    GROUPS,
    garments_within_groups,
    group_labels,
    group_probabilities,
    within_groups,
)


def test_each_garment_belongs_to_the_stated_group() -> None:
    by_group = {group: [name for name in GARMENTS if GROUP_OF_GARMENT[name] == group] for group in GROUPS}
    assert by_group == {
        "Upper part": ["T-shirt/top", "Pullover", "Coat", "Shirt"],
        "Bottom part": ["Trouser"],
        "One piece": ["Dress"],
        "Footwear": ["Sandal", "Sneaker", "Ankle boot"],
        "Bags": ["Bag"],
    }


def test_garments_have_the_data_sets_own_order() -> None:
    assert group_labels(np.arange(10)).tolist() == [0, 1, 0, 2, 0, 3, 0, 3, 4, 3]


def test_a_groups_probability_is_the_sum_of_its_garments() -> None:
    garments = np.array([[0.1, 0.02, 0.2, 0.03, 0.1, 0.15, 0.2, 0.05, 0.1, 0.05]])
    np.testing.assert_allclose(group_probabilities(garments), [[0.6, 0.02, 0.03, 0.25, 0.1]])


def test_probabilities_of_another_shape_are_refused() -> None:
    with pytest.raises(ValueError, match=r"shape \(N, 10\), received \(2, 5\)"):
        group_probabilities(np.zeros((2, 5)))


def test_the_garment_lies_within_the_group_even_where_another_is_more_probable() -> None:
    # Three garments of the upper part outweigh the one dress that alone is the most probable.
    garments = np.array([[0.2, 0.0, 0.25, 0.35, 0.1, 0.0, 0.1, 0.0, 0.0, 0.0]])
    groups = group_probabilities(garments).argmax(axis=1)
    assert groups.tolist() == [0]
    assert garments_within_groups(garments, groups=groups).tolist() == [2]


@pytest.mark.parametrize("little", [0.1, 1e-16, 0.0])
def test_garments_sum_to_their_groups_however_little_was_said_of_these(little: float) -> None:
    garments = np.full((1, 10), little)
    garments[0, 0] = 1 - 9 * little
    groups = np.array([[0.3, 0.05, 0.05, 0.55, 0.05]])
    said = within_groups(garments, groups=groups)
    np.testing.assert_allclose(group_probabilities(said), groups)
    # Within a group the shares stay.
    assert said[0, 2] / said[0, 0] == pytest.approx(little / garments[0, 0])
    assert said[0, 5] == pytest.approx(said[0, 9])

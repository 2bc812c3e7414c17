"""A small run of the proof that the same photographs, altered, never fall into two parts."""

import numpy as np
import pytest

from tests.classifier.splits.arrivals import let_arrive
from tests.support.photographs import draw_photograph

pytestmark = [pytest.mark.django_db, pytest.mark.both_databases]


@pytest.mark.parametrize("seed", [1, 2])
def test_altered_photographs_that_arrive_in_any_order_fall_into_one_part(seed: int) -> None:
    choose = np.random.default_rng(seed)
    outcome = let_arrive([draw_photograph(choose) for _ in range(5)], copies=2, seed=seed)
    assert outcome.is_clean()
    assert (outcome.pictures, outcome.missed, outcome.false_families, outcome.left_out) == (15, 0, 0, 0)

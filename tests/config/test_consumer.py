"""Which arguments of a message a worker lets a task have."""

from typing import Any

import pytest

from config.consumer import takes
from tests.config.messages import WRONG_ARGUMENTS


def take_number(number: int) -> None:
    pass


def take_ids(ids: list[int], queue: str = "", **_later: object) -> None:
    pass


@pytest.mark.parametrize("body", [body for body in WRONG_ARGUMENTS if isinstance(body, list) and len(body) == 3])
def test_a_task_of_one_number_takes_nothing_else(body: list[Any]) -> None:
    assert not takes(take_number, *body[:2])
    assert takes(take_number, [1], {})
    assert takes(take_number, [], {"number": 1})


def test_a_task_takes_what_later_versions_add() -> None:
    assert takes(take_ids, [[1, 2]], {})
    assert takes(take_ids, [[]], {"queue": "labelling", "reason": {"any": "thing"}})
    assert not takes(take_ids, [[1, "2"]], {})
    assert not takes(take_ids, [1], {})
    assert not takes(take_ids, [[1]], {"queue": 3})

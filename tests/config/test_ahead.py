"""Work that is done ahead of who takes it."""

import threading
from collections.abc import Iterator

import pytest

from config.ahead import read_ahead


def test_items_come_in_order_and_only_so_many_are_made_before_they_are_asked_for() -> None:
    made: list[int] = []
    third = threading.Event()

    def make() -> Iterator[int]:
        for number in range(5):
            made.append(number)
            if number == 2:
                third.set()
            yield number

    items = read_ahead(make(), ahead=2)
    assert made == []
    assert next(items) == 0
    assert third.wait(timeout=30)
    assert made == [0, 1, 2]
    assert list(items) == [1, 2, 3, 4]


def test_what_making_one_raises_comes_where_it_would_have_come() -> None:
    def make() -> Iterator[int]:
        yield 1
        raise ValueError("no second")

    items = read_ahead(make())
    assert next(items) == 1
    with pytest.raises(ValueError, match="no second"):
        next(items)

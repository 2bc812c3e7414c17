"""Work that is done ahead: a thread makes what comes next while the caller is at what came last."""

from collections import deque
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

Item = TypeVar("Item")


def read_ahead(items: Iterator[Item], *, ahead: int = 1) -> Iterator[Item]:
    """Yield the items, none of which is None, in their order; so many of the next ones are made meanwhile.

    What making one raises is raised where it would have come.
    """
    with ThreadPoolExecutor(1, thread_name_prefix="ahead") as maker:
        waiting = deque(maker.submit(next, items, None) for _ in range(ahead))
        while (item := waiting.popleft().result()) is not None:
            waiting.append(maker.submit(next, items, None))
            yield item

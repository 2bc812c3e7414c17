"""How the test suite is divided between processes that run side by side.

pytest-xdist hands out whole modules, so that a module's fixtures are made once, and two groups that one process does as
a whole and that come first because they take longest:

- ``processes``: tests that start, stop or kill processes, or open a browser. Side by side they would make each other
  late. A module says so with the marker of that name.
- ``network``: tests that need the small trained network (`tests/ml/conftest.py`), so that it is trained once.
"""

from typing import Any

import pytest
from xdist.scheduler import LoadGroupScheduling

GROUPS = ("processes", "network")


class WholeModulesScheduling(LoadGroupScheduling):
    """Hands out groups and whole modules in the order in which their first tests were collected."""

    def __init__(self, config: pytest.Config, log: Any = None) -> None:
        # Otherwise it starts with the module of most tests, which need not be the one that takes longest.
        config.option.loadscopereorder = False
        super().__init__(config, log)

    def _split_scope(self, nodeid: str) -> str:
        return super()._split_scope(nodeid).partition("::")[0]


def divides_tests(config: pytest.Config) -> bool:
    """Whether this process runs no test itself and hands them out to others."""
    return get_worker_number(config) is None and bool(getattr(config.option, "tx", None))


def get_worker_number(config: pytest.Config) -> int | None:
    """Return which of the processes side by side this one is, from 0; None if it is none of them."""
    worker: dict[str, Any] | None = getattr(config, "workerinput", None)
    return None if worker is None else int(worker["workerid"].removeprefix("gw"))


def order_for_division(items: list[pytest.Item]) -> None:
    """Put the groups first, each together, then the modules that take long; the rest stays as it is."""
    places = {}
    for item in items:
        group = next((name for name in GROUPS if item.get_closest_marker(name) is not None), None)
        if group is not None:
            item.add_marker(pytest.mark.xdist_group(group))
            places[item] = GROUPS.index(group)
        else:
            places[item] = len(GROUPS) + (item.get_closest_marker("long") is None)
    items.sort(key=places.__getitem__)

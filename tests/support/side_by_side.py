"""How the test suite is divided between processes that run side by side.

pytest-xdist hands out whole modules, so that a module's fixtures are made once, and two groups that one process does as
a whole and that come first because they take longest:

- ``processes``: tests that start, stop or kill processes, or open a browser. Side by side they would make each other
  late. A module says so with the marker of that name.
- ``network``: tests that need the small trained network, so that it is trained once. What they ask for says so.

pytest-xdist's own groups do not work with pytest 9.2: it writes a group's name into a test's id, which can no longer be
changed. So the first process writes down which test is in which group, and the one that divides the tests reads it.
"""

import json
import os
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from xdist.scheduler import LoadScopeScheduling

GROUPS = ("processes", "network")
# How much the others stand back where there are too few processors: the group of processes takes longest, and they fill
# what it leaves.
STEP_BACK = 10
# Set by the process that divides the tests: the path of the file with the group of each test that has one.
FILE_VARIABLE = "TEST_GROUPS_FILE"


class WholeModulesScheduling(LoadScopeScheduling):
    """Hands out groups and whole modules in the order in which their first tests were collected."""

    def __init__(self, config: pytest.Config, log: Any = None) -> None:
        # Otherwise it starts with the module of most tests, which need not be the one that takes longest.
        config.option.loadscopereorder = False
        super().__init__(config, log)
        self._groups: dict[str, str] | None = None

    def _split_scope(self, nodeid: str) -> str:
        if self._groups is None:
            self._groups = json.loads(Path(os.environ[FILE_VARIABLE]).read_text())
        return self._groups.get(nodeid) or nodeid.partition("::")[0]


def divides_tests(config: pytest.Config) -> bool:
    """Whether this process runs no test itself and hands them out to others."""
    divided = bool(getattr(config.option, "tx", None)) and not config.option.collectonly
    return divided and get_worker_number(config) is None


def get_worker_number(config: pytest.Config) -> int | None:
    """Return which of the processes side by side this one is, from 0; None if it is none of them."""
    worker: dict[str, Any] | None = getattr(config, "workerinput", None)
    return None if worker is None else int(worker["workerid"].removeprefix("gw"))


def find_group(item: pytest.Item) -> str | None:
    """Return the group that the test belongs to."""
    if "tiny_artefact" in getattr(item, "fixturenames", ()):
        return "network"
    return "processes" if item.get_closest_marker("processes") is not None else None


def order_groups(items: list[pytest.Item]) -> None:
    """Put the groups first, then the modules that take long; the rest stays as it is."""

    def get_place(item: pytest.Item) -> int:
        group = find_group(item)
        return GROUPS.index(group) if group is not None else len(GROUPS) + (item.get_closest_marker("long") is None)

    items.sort(key=get_place)


@cache
def stand_back() -> None:
    """Leave the processors to the group of processes, once and for all."""
    os.nice(STEP_BACK)


def write_groups(items: list[pytest.Item]) -> None:
    """Write down which test is in which group, for the process that divides them."""
    groups = {item.nodeid: find_group(item) for item in items}
    Path(os.environ[FILE_VARIABLE]).write_text(json.dumps({id: group for id, group in groups.items() if group}))

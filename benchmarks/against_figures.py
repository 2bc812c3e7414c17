"""The figures of a benchmark's output, and those of two sides beside each other."""

import json
import math
import re
import statistics
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

#: What tells the items of a list apart, so that one more of them does not shift the others.
_NAMING_KEYS: Final = ("name", "size")
#: The lines of `benchmarks.similar` before it knew --json.
_SEARCH_LINE: Final = re.compile(r"(?P<name>\S.*?) +(?P<median>[\d.,]+) ms, at best (?P<best>[\d.,]+) ms")
_SAME_LINE: Final = re.compile(
    r"the same \d+ of (?P<embeddings>[\d,]+) embeddings in (?P<rounds_with_the_same>\d+) of (?P<rounds>\d+) rounds"
)


@dataclass(frozen=True, slots=True)
class Figure:
    """A figure of the benchmark as every run gave it; a side that lacks it has no values."""

    name: str
    theirs: Sequence[float]
    ours: Sequence[float]

    @property
    def medians(self) -> tuple[float | None, float | None]:
        """Theirs and ours."""
        return (
            statistics.median(self.theirs) if self.theirs else None,
            statistics.median(self.ours) if self.ours else None,
        )

    @property
    def ratio(self) -> float | None:
        """Our median against theirs; None where one is missing or theirs is zero."""
        theirs, ours = self.medians
        return ours / theirs if ours is not None and theirs else None

    @property
    def never_differs(self) -> bool:
        """Whether every run of both sides gave the same: a setting of the benchmark, or a count."""
        return bool(self.theirs and self.ours) and len({*self.theirs, *self.ours}) == 1

    def to_json(self) -> dict[str, Any]:
        """Return the figure as plain JSON."""
        theirs, ours = self.medians
        return {
            "name": self.name,
            "theirs": theirs,
            "ours": ours,
            "ratio": self.ratio,
            "theirs_runs": list(self.theirs),
            "ours_runs": list(self.ours),
        }


def read_figures(output: str) -> dict[str, float]:
    """Return the numbers of a benchmark's JSON document by dotted names, without those of the machine.

    The document is the last line that is one: a library may have written before it.
    """
    for line in reversed(output.splitlines()):
        try:
            document = json.loads(line)
        except ValueError:
            continue
        if isinstance(document, dict):
            return dict(_flatten({name: value for name, value in document.items() if name != "machine"}))
    return {}


def _flatten(value: Any, *path: str) -> Iterator[tuple[str, float]]:
    if isinstance(value, dict):
        for name, part in value.items():
            yield from _flatten(part, *path, name)
    elif isinstance(value, list):
        for name, part in zip(_name_items(value), value, strict=True):
            yield from _flatten(part, *path, name)
    elif isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value):
        yield ".".join(path), float(value)


def _name_items(items: Sequence[Any]) -> list[str]:
    """Return the items' own names where they have some and no two the same, else their numbers."""
    for key in _NAMING_KEYS:
        names = [item.get(key) if isinstance(item, dict) else None for item in items]
        if all(isinstance(name, str) for name in names) and len(set(names)) == len(names):
            return [str(name) for name in names]
    return [str(number) for number in range(len(items))]


def read_lines(output: str) -> dict[str, float]:
    """Return the figures of a benchmark that came before its --json, by the names that its JSON has now."""
    figures: dict[str, str] = {}
    for line in output.splitlines():
        if search := _SEARCH_LINE.fullmatch(line):
            for name in ("median", "best"):
                figures[f"searches.{search['name']}.{name}_milliseconds"] = search[name]
        elif same := _SAME_LINE.fullmatch(line):
            figures |= same.groupdict()
    return {name: float(number.replace(",", "")) for name, number in figures.items()}


def compare_figures(*, theirs: Sequence[Mapping[str, float]], ours: Sequence[Mapping[str, float]]) -> list[Figure]:
    """Return every figure of any run, in the order in which ours come, then those that only theirs have."""
    names = dict.fromkeys(name for figures in (*ours, *theirs) for name in figures)
    return [
        Figure(
            name,
            theirs=[figures[name] for figures in theirs if name in figures],
            ours=[figures[name] for figures in ours if name in figures],
        )
        for name in names
    ]

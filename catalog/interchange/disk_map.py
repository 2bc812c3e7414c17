"""A map of whole numbers that lies on disk: what a file of millions has said so far, in little memory."""

import sqlite3
from collections.abc import Iterable
from types import TracebackType
from typing import Final, Self

_KEYS_PER_QUERY: Final = 500


class DiskMap:
    """A map from signed 64-bit numbers to such numbers, in a temporary file that vanishes on close.

    A million pairs would take some 200 MB as a dict; here they are disk.
    """

    def __init__(self) -> None:
        self._database = sqlite3.connect("", isolation_level=None)
        self._database.execute("PRAGMA journal_mode = OFF")
        self._database.execute("PRAGMA synchronous = OFF")
        self._database.execute("CREATE TABLE map (key INTEGER PRIMARY KEY, value INTEGER NOT NULL)")

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._database.close()

    def find(self, keys: Iterable[int]) -> dict[int, int]:
        """Return the value of every key that was added."""
        wanted = list(keys)
        found: dict[int, int] = {}
        for start in range(0, len(wanted), _KEYS_PER_QUERY):
            part = wanted[start : start + _KEYS_PER_QUERY]
            marks = ",".join("?" * len(part))
            found.update(self._database.execute(f"SELECT key, value FROM map WHERE key IN ({marks})", part))  # noqa: S608
        return found

    def add(self, pairs: Iterable[tuple[int, int]]) -> None:
        """Remember (key, value) pairs; the first value of a key stays."""
        self._database.execute("BEGIN")
        self._database.executemany("INSERT OR IGNORE INTO map VALUES (?, ?)", pairs)
        self._database.execute("COMMIT")


def hash62(value: object) -> int:
    """Return a key or value for anything that `hash` knows, from 0 to 2**62 - 1; it means nothing in another process.

    Two of a million things have the same in one of four million runs.
    """
    return hash(value) & (2**62 - 1)

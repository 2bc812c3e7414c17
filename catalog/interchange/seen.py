"""Which products of a file were seen before in it, without holding the file in memory."""

import sqlite3
from collections.abc import Iterable
from types import TracebackType
from typing import Final, Self

from catalog.interchange.records import ProductRecord

#: In place of a digest: a row with this id was refused. Equals no digest, which are not negative.
REFUSED: Final = -1
_KEYS_PER_QUERY = 500


class SeenProducts:
    """A map from a product's key to a digest of its content, in a temporary file that vanishes on close.

    A file of a million products would take some 200 MB as a dict; here it is disk. Keys and digests are made by `hash`,
    so they mean something in this process only; with 62 bits, two of a million products share a key in one file of four
    million.
    """

    def __init__(self) -> None:
        self._database = sqlite3.connect("", isolation_level=None)
        self._database.execute("PRAGMA journal_mode = OFF")
        self._database.execute("PRAGMA synchronous = OFF")
        self._database.execute("CREATE TABLE seen (key INTEGER PRIMARY KEY, digest INTEGER NOT NULL)")

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._database.close()

    def find(self, keys: Iterable[int]) -> dict[int, int]:
        """Return the digest of every key that was added."""
        wanted = list(keys)
        found: dict[int, int] = {}
        for start in range(0, len(wanted), _KEYS_PER_QUERY):
            part = wanted[start : start + _KEYS_PER_QUERY]
            marks = ",".join("?" * len(part))
            found.update(self._database.execute(f"SELECT key, digest FROM seen WHERE key IN ({marks})", part))  # noqa: S608
        return found

    def add(self, digests: Iterable[tuple[int, int]]) -> None:
        """Remember (key, digest) pairs; the first digest of a key stays."""
        self._database.execute("BEGIN")
        self._database.executemany("INSERT OR IGNORE INTO seen VALUES (?, ?)", digests)
        self._database.execute("COMMIT")


def content_key(title: str, *, images: tuple[str, ...], with_id: bool) -> int:
    """Return the key of a title and its images as rows with, or without, an id name them; negative, unlike an id."""
    return -1 - _hash62((with_id, title, images))


def content_digest(record: ProductRecord) -> int:
    """Return a digest of what the record says of its product; images that are not spoken of differ from none."""
    images = record.images if record.id is not None else record.images or ()
    return _hash62((record.title, images, frozenset(record.descriptions.items())))


def _hash62(value: object) -> int:
    return hash(value) & (2**62 - 1)

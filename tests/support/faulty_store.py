"""An object store that fails as a test says: a Django storage whose files lie in the media folder.

The file that FAULT_STORE names holds the fault and, for a fault of one file alone, that file's name.
"""

import errno
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from django.core.files.base import File
from django.core.files.storage import FileSystemStorage, Storage

BACKEND = "tests.support.faulty_store.FaultyStore"
VARIABLE = "FAULT_STORE"


class StoreAwayError(Exception):
    """As a client's own error for a store that does not answer; no OSError."""


class NoSuchKeyError(Exception):
    """As a client's own error for a 404; no FileNotFoundError."""


# Away, broken, forbidden, stale, out of descriptors: whatever is asked. Full: what is written.
FAULTS: dict[str, Exception] = {
    "away": StoreAwayError("could not connect to the endpoint"),
    "eio": OSError(errno.EIO, "Input/output error"),
    "eacces": PermissionError(errno.EACCES, "Permission denied"),
    "estale": OSError(errno.ESTALE, "Stale file handle"),
    "enfile": OSError(errno.ENFILE, "Too many open files in system"),
    "full": OSError(errno.ENOSPC, "No space left on device"),
}


@dataclass(frozen=True)
class Faults:
    """The file that says what fails."""

    path: Path

    def set(self, fault: str, name: str = "") -> None:
        """Let the store fail, or for the file of this name alone."""
        # At once, as whoever reads meanwhile sees the one or the other.
        draft = self.path.with_suffix(".draft")
        draft.write_text(f"{fault} {name}")
        draft.replace(self.path)

    def clear(self) -> None:
        """Let the store work."""
        self.set("")


class FaultyStore(Storage):
    """The store."""

    def __init__(self) -> None:
        self._files = FileSystemStorage()

    def _fail(self, name: str, *, writes: bool = False) -> None:
        path = Path(os.environ[VARIABLE])
        fault, _, only = path.read_text().partition(" ") if path.exists() else ("", "", "")
        if fault and (writes or fault != "full") and only in ("", name):
            raise FAULTS[fault]

    def _open(self, name: str, mode: str = "rb") -> File:
        self._fail(name)
        if not self._files.exists(name):
            raise NoSuchKeyError("404 Not Found")
        return self._files.open(name, mode)

    def _save(self, name: str, content: Any) -> str:
        self._fail(name, writes=True)
        return self._files.save(name, content)

    def exists(self, name: str) -> bool:
        self._fail(name)
        return self._files.exists(name)

    def size(self, name: str) -> int:
        self._fail(name)
        if not self._files.exists(name):
            raise NoSuchKeyError("404 Not Found")
        return self._files.size(name)

    def delete(self, name: str) -> None:
        self._fail(name)
        self._files.delete(name)

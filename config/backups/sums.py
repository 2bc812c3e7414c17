"""Lists of files with their SHA-256, in the form that `sha256sum --check` reads."""

import hashlib
import re
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import IO, Final

from config.backups import BackupError

_LINE: Final = re.compile(r"(\\?)([0-9a-f]{64})  (.+)")
_ESCAPES: Final = {"\\": "\\\\", "\n": "\\n", "\r": "\\r"}
_CHUNK_BYTES: Final = 1024 * 1024


def copy_and_hash(source: IO[bytes], target: IO[bytes] | None = None) -> str:
    """Read the source to its end, write it to the target if there is one, and return its SHA-256."""
    digest = hashlib.sha256()
    while chunk := source.read(_CHUNK_BYTES):
        digest.update(chunk)
        if target is not None:
            target.write(chunk)
    return digest.hexdigest()


def hash_file(path: Path) -> str:
    """Return the SHA-256 of a file. Raises `OSError`."""
    with path.open("rb") as file:
        return copy_and_hash(file)


def write_sums(path: Path, sums: Iterable[tuple[str, str]]) -> int:
    """Write the pairs of name and SHA-256; return how many there were."""
    number = 0
    with path.open("w", encoding="utf-8", errors="surrogateescape", newline="\n") as file:
        for name, digest in sums:
            escaped = "".join(_ESCAPES.get(sign, sign) for sign in name)
            file.write(f"{chr(92) if escaped != name else ''}{digest}  {escaped}\n")
            number += 1
    return number


def read_sums(path: Path) -> Iterator[tuple[str, str]]:
    """Give the pairs of name and SHA-256. Raises `BackupError` for a line that is none, and for a name that leaves."""
    with path.open(encoding="utf-8", errors="surrogateescape", newline="\n") as file:
        for number, line in enumerate(file, start=1):
            match = _LINE.fullmatch(line.removesuffix("\n"))
            if match is None or not line.endswith("\n"):
                raise BackupError(f"{path}: expected a SHA-256 and a name in line {number}, received {line[:80]!r}")
            escaped, digest, name = match.groups()
            if escaped:
                name = re.sub(r"\\(.)", lambda sign: {"n": "\n", "r": "\r"}.get(sign[1], sign[1]), name)
            if name.startswith("/") or not {"", ".", ".."}.isdisjoint(name.split("/")):
                raise BackupError(f"{path}: expected a name within the folder in line {number}, received {name!r}")
            yield name, digest

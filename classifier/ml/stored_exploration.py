"""A folder with what an exploration found: one JSON document and the pictures that it names.

The document is written last and holds the hash of every picture. A folder whose files do not match it, because it was
written half or touched by hand, counts as none.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

DOCUMENT_NAME: Final = "exploration.json"
#: Grows when pages can no longer read what an older version wrote.
FORMAT: Final = 1
#: The one that comes with the product.
COMMITTED_EXPLORATION: Final = Path(__file__).resolve().parents[2] / "docs" / "data"

_FILE_NAME: Final = re.compile(r"[a-z0-9]+(-[a-z0-9]+)*\.(svg|png)")


class StoredExplorationError(Exception):
    """The folder holds no complete exploration; the message says what was expected and what came."""


@dataclass(frozen=True, slots=True)
class StoredExploration:
    """What a folder holds: the document, and the path of each picture by its name. No other name is a picture."""

    document: Mapping[str, Any]
    files: Mapping[str, Path]


def save_exploration(folder: Path, *, document: Mapping[str, Any], files: Mapping[str, bytes]) -> None:
    """Write the pictures and then the document, each at once; other files in the folder stay as they are.

    ``document`` gets the keys ``format`` and ``files`` (name to SHA-256). Raises ``ValueError`` for a picture's name
    that is not lower case letters, digits and hyphens with .svg or .png, and ``OSError`` where nothing can be written.
    """
    for name in files:
        if not _FILE_NAME.fullmatch(name):
            raise ValueError(f"expected a name such as pixel-mean.svg, received {name!r}")
    folder.mkdir(parents=True, exist_ok=True)
    for name, content in files.items():
        _replace(folder / name, content=content)
    hashes = {name: hashlib.sha256(content).hexdigest() for name, content in files.items()}
    text = json.dumps({"format": FORMAT, **document, "files": hashes}, indent=1, ensure_ascii=False)
    _replace(folder / DOCUMENT_NAME, content=f"{text}\n".encode())


def load_exploration(folder: Path) -> StoredExploration:
    """What ``save_exploration`` wrote. Raises ``StoredExplorationError`` when it is not there or not complete."""
    try:
        document = json.loads((folder / DOCUMENT_NAME).read_bytes())
        if not isinstance(document, dict) or document.get("format") != FORMAT:
            raise StoredExplorationError(f"expected a document of format {FORMAT} in {folder / DOCUMENT_NAME}")
        files = {name: folder / name for name in document["files"] if _FILE_NAME.fullmatch(name)}
        for name, path in files.items():
            actual = hashlib.sha256(path.read_bytes()).hexdigest()
            if actual != document["files"][name]:
                raise StoredExplorationError(
                    f"expected {path} with SHA-256 {document['files'][name]}, received {actual}"
                )
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise StoredExplorationError(f"{folder} holds no exploration: {error}") from error
    return StoredExploration(document=document, files=files)


def _replace(path: Path, *, content: bytes) -> None:
    """Put the content under that name in one step, so that a reader finds the old file or the new one."""
    with tempfile.NamedTemporaryFile(dir=path.parent, prefix=f".{path.name}.", delete=False) as partial:
        try:
            partial.write(content)
            partial.flush()
            os.fchmod(partial.fileno(), 0o644)
            os.replace(partial.name, path)
        except BaseException:
            Path(partial.name).unlink(missing_ok=True)
            raise

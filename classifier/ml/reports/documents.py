"""Stored reports: a JSON document in a folder, and the plots and sheets of pictures that lie beside it.

The document is written last and holds the hash of every file. One whose files do not match it, because it was written
half or touched by hand, counts as none.
"""

import hashlib
import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from classifier.ml.config import RECIPES
from config.files import open_file, write_file

#: The exploration of a data set. Experiments have a document for each recipe, named after it.
EXPLORATION_NAME: Final = "exploration.json"
#: Written by people: a list of objects with ``what`` was tried and its ``result``.
TRIED_NAME: Final = "tried.json"
#: Grows when pages can no longer read what an older version wrote.
FORMAT: Final = 2

_FILE_NAME: Final = re.compile(r"[a-z0-9]+(-[a-z0-9]+)*\.(svg|png)")
_RECIPE_NAME: Final = re.compile(r"(?!tried$)[a-z0-9]+(-[a-z0-9]+)*")


class StoredDocumentError(Exception):
    """There is no complete document; the message says what was expected and what came."""


def save_document(path: Path, *, document: Mapping[str, Any], files: Mapping[str, bytes]) -> None:
    """Write the files beside ``path`` and then the document there, each at once; other files stay as they are.

    ``document`` gets the keys ``format`` and ``files`` (name to SHA-256). Raises ``ValueError`` for a file's name that
    is not lower case letters, digits and hyphens with .svg or .png, and ``OSError`` where nothing can be written.
    """
    hashes = {_check_name(name): hashlib.sha256(content).hexdigest() for name, content in files.items()}
    path.parent.mkdir(parents=True, exist_ok=True)
    for name, content in files.items():
        write_file(path.parent / name, content)
    text = json.dumps({"format": FORMAT, **document, "files": hashes}, indent=1, ensure_ascii=False)
    write_file(path, f"{text}\n".encode())


def load_document(path: Path) -> dict[str, Any]:
    """What ``save_document`` wrote. Raises ``StoredDocumentError`` when it is not there or not complete."""
    try:
        document: dict[str, Any] = json.loads(_read(path))
        if document["format"] != FORMAT:
            raise ValueError(f"expected format {FORMAT}, received {document['format']!r}")
        for name, expected in document["files"].items():
            actual = hashlib.sha256(_read(path.parent / _check_name(name))).hexdigest()
            if actual != expected:
                raise ValueError(f"expected {name} with SHA-256 {expected}, received {actual}")
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise StoredDocumentError(f"{path} is no complete document: {error!r}") from error
    return document


def is_recipe_name(name: str) -> bool:
    """Whether a document can be named after that recipe: lower case letters, digits and single hyphens."""
    return bool(_RECIPE_NAME.fullmatch(name))


def list_records(folder: Path) -> list[Path]:
    """The documents of the recipes, complete or not: the product's own in their order, then others by name."""
    known = list(RECIPES)
    found = (path for path in folder.glob("*.json") if is_recipe_name(path.stem))
    return sorted(found, key=lambda path: (known.index(path.stem) if path.stem in known else len(known), path.stem))


def load_tried(folder: Path) -> list[tuple[str, str]]:
    """What was tried and what came of it, in the order of the file; nothing without a file.

    Raises ``StoredDocumentError`` when the file is not such a list.
    """
    path = folder / TRIED_NAME
    try:
        return [(row["what"], row["result"]) for row in json.loads(_read(path))] if path.exists() else []
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise StoredDocumentError(f"expected a list of objects with what and result in {path}: {error!r}") from error


def _read(path: Path) -> bytes:
    with open_file(path) as file:
        return file.read()


def _check_name(name: str) -> str:
    if not _FILE_NAME.fullmatch(name):
        raise ValueError(f"expected a name such as pixel-mean.svg, received {name!r}")
    return name

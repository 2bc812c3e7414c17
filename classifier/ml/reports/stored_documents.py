"""A JSON document in a folder, and the pictures that it names.

The document is written last and holds the hash of every picture. One whose pictures do not match it, because it was
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

_PICTURE_NAME: Final = re.compile(r"[a-z0-9]+(-[a-z0-9]+)*\.(svg|png)")


class StoredDocumentError(Exception):
    """There is no complete document; the message says what was expected and what came."""


@dataclass(frozen=True, slots=True)
class StoredDocument:
    """What was stored: the document, and the path of each picture by its name. No other name is a picture."""

    document: Mapping[str, Any]
    files: Mapping[str, Path]


def save_document(path: Path, *, version: int, document: Mapping[str, Any], files: Mapping[str, bytes]) -> None:
    """Write the pictures beside ``path`` and then the document there, each at once; other files stay as they are.

    ``document`` gets the keys ``format`` (the ``version``) and ``files`` (name to SHA-256). Raises ``ValueError`` for a
    picture's name that is not lower case letters, digits and hyphens with .svg or .png, and ``OSError`` where nothing
    can be written.
    """
    for name in files:
        if not _PICTURE_NAME.fullmatch(name):
            raise ValueError(f"expected a name such as pixel-mean.svg, received {name!r}")
    path.parent.mkdir(parents=True, exist_ok=True)
    for name, content in files.items():
        replace_file(path.parent / name, content=content)
    hashes = {name: hashlib.sha256(content).hexdigest() for name, content in files.items()}
    text = json.dumps({"format": version, **document, "files": hashes}, indent=1, ensure_ascii=False)
    replace_file(path, content=f"{text}\n".encode())


def load_document(path: Path, *, version: int) -> StoredDocument:
    """What ``save_document`` wrote. Raises ``StoredDocumentError`` when it is not there or not complete."""
    try:
        document = json.loads(path.read_bytes())
        if not isinstance(document, dict) or document.get("format") != version:
            raise StoredDocumentError(f"expected a document of format {version} in {path}")
        files = {name: path.parent / name for name in document["files"] if _PICTURE_NAME.fullmatch(name)}
        for name, picture in files.items():
            actual = hashlib.sha256(picture.read_bytes()).hexdigest()
            if actual != document["files"][name]:
                raise StoredDocumentError(
                    f"expected {picture} with SHA-256 {document['files'][name]}, received {actual}"
                )
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise StoredDocumentError(f"{path} is no complete document: {error}") from error
    return StoredDocument(document=document, files=files)


def replace_file(path: Path, *, content: bytes) -> None:
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

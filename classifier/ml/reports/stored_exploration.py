"""The folder of an exploration: what was found, with its plots and sheets of pictures."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from classifier.ml.reports.stored_documents import StoredDocument, load_document, save_document

DOCUMENT_NAME: Final = "exploration.json"
#: Grows when pages can no longer read what an older version wrote.
FORMAT: Final = 1
#: The one that comes with the product.
COMMITTED_EXPLORATION: Final = Path(__file__).resolve().parents[2] / "docs" / "data"


def save_exploration(folder: Path, *, document: Mapping[str, Any], files: Mapping[str, bytes]) -> None:
    """Write an exploration whole. Raises what ``save_document`` raises."""
    save_document(folder / DOCUMENT_NAME, version=FORMAT, document=document, files=files)


def load_exploration(folder: Path) -> StoredDocument:
    """What ``save_exploration`` wrote. Raises ``StoredDocumentError`` when it is not there or not complete."""
    return load_document(folder / DOCUMENT_NAME, version=FORMAT)

"""The folder of the experiments: one record for each recipe, and what was tried and did not help."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from classifier.ml.config import RECIPES
from classifier.ml.reports.stored_documents import StoredDocument, StoredDocumentError, load_document, save_document

#: Grows when reports can no longer read what an older version wrote.
FORMAT: Final = 1
#: Written by people: a list of objects with ``what`` was tried and its ``result``.
TRIED_NAME: Final = "tried.json"
#: What one recipe's record and its pictures may weigh together, so that a repository can hold them.
MAX_EXPERIMENT_BYTES: Final = 200_000

_RECIPE_NAME: Final = re.compile(r"[a-z0-9]+(-[a-z0-9]+)*")


def is_recipe_name(name: str) -> bool:
    """Whether a record can be stored under that recipe's name: lower case letters, digits and single hyphens."""
    return bool(_RECIPE_NAME.fullmatch(name)) and f"{name}.json" != TRIED_NAME


def save_experiment(folder: Path, *, record: Mapping[str, Any], files: Mapping[str, bytes]) -> None:
    """Write the record of a recipe with its pictures, in place of the recipe's record before.

    Raises ``ValueError`` for a recipe that cannot name a file, and what ``save_document`` raises.
    """
    name = record["recipe"]["name"]
    if not is_recipe_name(name):
        raise ValueError(f"expected a recipe name of lower case letters, digits and hyphens, received {name!r}")
    save_document(folder / f"{name}.json", version=FORMAT, document=record, files=files)


def load_experiment(folder: Path, *, recipe: str) -> StoredDocument:
    """The record of a recipe. Raises ``StoredDocumentError`` when it is not there or not complete."""
    if not is_recipe_name(recipe):
        raise StoredDocumentError(f"expected a recipe name, received {recipe!r}")
    stored = load_document(folder / f"{recipe}.json", version=FORMAT)
    if stored.document.get("recipe", {}).get("name") != recipe:
        raise StoredDocumentError(f"expected the record of {recipe} in {folder / f'{recipe}.json'}")
    return stored


def list_experiment_names(folder: Path) -> list[str]:
    """The recipes that have a record, complete or not: the product's own in their order, then others by name."""
    found = {path.stem for path in folder.glob("*.json") if is_recipe_name(path.stem)}
    return [*(name for name in RECIPES if name in found), *sorted(found - set(RECIPES))]


def load_tried(folder: Path) -> list[tuple[str, str]]:
    """What was tried and what came of it, in the order of the file; nothing without a file.

    Raises ``StoredDocumentError`` when the file is not such a list.
    """
    path = folder / TRIED_NAME
    try:
        rows = json.loads(path.read_bytes())
        tried = [(row["what"], row["result"]) for row in rows]
    except FileNotFoundError:
        return []
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise StoredDocumentError(f"expected a list of objects with what and result in {path}: {error!r}") from error
    if not all(isinstance(text, str) for row in tried for text in row):
        raise StoredDocumentError(f"expected texts as what and result in {path}, received something else")
    return tried

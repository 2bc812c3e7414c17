"""Pictures on disk of which somebody says what they show: a folder with a table of labels."""

import csv
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from io import TextIOWrapper
from pathlib import Path
from typing import Any

from django.core.management.base import CommandError

from catalog.values import MAX_TITLE_CHARACTERS, clean_country, clean_text
from config.files import open_file

LABELS_FILE = "labels.csv"
# Of bad rows so many are named.
SHOWN_ERRORS = 10


@dataclass(frozen=True, slots=True)
class LabelledProduct:
    """A picture's file and the group that it is of; title, country and split where the table has them.

    A country is two small letters.
    """

    path: Path
    group: str
    title: str = ""
    country: str = ""
    split: str = ""


def read_labels(folder: Path, *, groups: Collection[str], split: str | None) -> list[LabelledProduct]:
    """The products that the folder's labels.csv lists, in its order; with a split those of that value alone.

    Columns are path and group, and may be title, country and split; others are not looked at. Raises `CommandError` for
    a missing file or column, for rows that are wrong, with their lines, and for no row.
    """
    source = folder / LABELS_FILE
    products, errors = [], []
    try:
        with TextIOWrapper(open_file(source), encoding="utf-8-sig", newline="") as file:
            reader = csv.DictReader(file)
            needed = {"path", "group"} | ({"split"} if split else set())
            if not needed <= set(reader.fieldnames or ()):
                raise CommandError(f"{source}: expected the columns {', '.join(sorted(needed))}")
            for row in reader:
                try:
                    cells = _read_cells(row)
                    if not split or cells["split"] == split:
                        products.append(_read_product(cells, folder=folder, groups=groups))
                except ValueError as error:
                    errors.append(f"line {reader.line_num}: {error}")
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise CommandError(f"{source} cannot be read: {error}") from error
    if errors:
        more = f"\nand {len(errors) - SHOWN_ERRORS} more" if len(errors) > SHOWN_ERRORS else ""
        raise CommandError("\n".join([f"{source}, {errors[0]}", *errors[1:SHOWN_ERRORS]]) + more)
    if not products:
        raise CommandError(f"{source}: expected at least one picture{f' with split {split}' if split else ''}")
    return products


def _read_cells(row: Mapping[Any, Any]) -> dict[str, str]:
    # Cells beyond the head's stand under None, and those that are missing are None.
    if None in row or None in row.values():
        raise ValueError("expected as many cells as the first line has")
    return {name: cell.strip() for name, cell in row.items()}


def _read_product(cells: Mapping[str, str], *, folder: Path, groups: Collection[str]) -> LabelledProduct:
    """Return the product of a row. Raises `ValueError` that says what is wrong with it."""
    path, group, title, country = (cells.get(name, "") for name in ("path", "group", "title", "country"))
    if not _is_within(folder / path, folder=folder):
        raise ValueError(f"expected a path in the folder, received {path!r}")
    if group not in groups:
        raise ValueError(f"expected a group out of {', '.join(groups)}, received {group!r}")
    return LabelledProduct(
        path=folder / path,
        group=group,
        title=clean_text(title, field="title", maximum=MAX_TITLE_CHARACTERS) or "",
        country=clean_country(country) if country else "",
        split=cells.get("split", ""),
    )


def _is_within(path: Path, *, folder: Path) -> bool:
    """Return whether the path, links followed, lies below the folder; one that is none lies nowhere."""
    try:
        return path.resolve() != folder.resolve() and path.resolve().is_relative_to(folder.resolve())
    except (OSError, RuntimeError, ValueError):
        return False

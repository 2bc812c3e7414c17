"""Cells of a CSV file: texts that spreadsheets leave alone, nothing in its many spellings, several images."""

import re
from collections.abc import Iterable
from contextlib import suppress
from typing import Final

from catalog.values import RecordError, shorten

_NOTHING: Final = r"n/a|#n/a|null|none|nil|nan|\\n|-{1,3}|[\u2013\u2014]"
_PLACEHOLDER: Final = re.compile(_NOTHING, re.IGNORECASE)
# What a spreadsheet takes for the start of a formula, or an import for nothing, behind any number of apostrophes; the
# last four are the forms of double width of the first four.
_READ_OTHERWISE: Final = re.compile(rf"'*(?:[=+\-@\t\r\n\x00\uff1d\uff0b\uff0d\uff20]|(?:{_NOTHING})\Z)", re.IGNORECASE)
# Between two pictures: what no address holds, and what stands before the next address.
_BREAK: Final = re.compile(r"[|\r\n]|[\s,;](?=https?://)", re.IGNORECASE)
# A name or address is complete where it ends as pictures do.
_PICTURE: Final = re.compile(r"\.(?:jpe?g|jfif|png|webp|gif|avif|bmp|tiff?|heic)(?:\Z|[?#])", re.IGNORECASE)
_OTHER_SEPARATOR: Final = re.compile("[|,;]")
_SEPARATORS: Final = (re.compile("[,;]"), re.compile(r"\s+"))
_EDGES: Final = " \t,;"


def is_picture_name(text: str) -> bool:
    """Return whether a name or address ends as pictures do."""
    return _PICTURE.search(text) is not None


def defuse_cell(text: str) -> str:
    """Return the text as a cell that no spreadsheet takes for a formula, nor an import for nothing."""
    return f"'{text}" if _READ_OTHERWISE.match(text) else text


def restore_cell(cell: str) -> str:
    """Return the text of which `defuse_cell` made the cell, exactly; empty for a placeholder such as `n/a`."""
    if not cell or _PLACEHOLDER.fullmatch(cell):
        return ""
    return cell[1:] if cell.startswith("'") and _READ_OTHERWISE.match(cell) else cell


def join_images(images: Iterable[str]) -> str | None:
    """Return the images as one cell, separated by spaces, or by `|` where that is clearer; None if none holds them."""
    expected = list(images)
    for separator in (" ", " | "):
        with suppress(RecordError):
            if split_images(cell := separator.join(expected)) == expected:
                return cell
    return None


def split_images(cell: str) -> list[str]:
    """Return the images that the cell names: addresses, and names in the media storage.

    They are separated by `|` or by a line break, or by spaces, commas or semicolons where each is an address or ends as
    pictures do. Raises `RecordError` for what may be one or several.
    """
    if not _OTHER_SEPARATOR.search(cell) and all(word.startswith(("http://", "https://")) for word in cell.split()):
        return cell.split()  # most cells, and ten times as quick
    pieces = _BREAK.split(cell)
    for separator in _SEPARATORS:
        pieces = [part for piece in pieces for part in _split_by(separator, piece.strip(_EDGES))]
    for piece in pieces:
        if "://" in piece and re.search(r"\s", piece):
            raise RecordError(
                f"expected %20 for a space within an address, and | between images, received {shorten(piece)}"
            )
        if "://" not in piece and not is_picture_name(piece) and re.search(r"[\s,;]", piece):
            raise RecordError(f"expected images separated by spaces, commas or |, received {shorten(piece)}")
    return pieces


def _split_by(separator: re.Pattern[str], piece: str) -> list[str]:
    """Return the parts of the piece if each is a complete image, else the piece, or nothing for an empty one."""
    parts = [part.strip(_EDGES) for part in separator.split(piece)]
    return parts if all(map(is_picture_name, parts)) else [piece] if piece else []

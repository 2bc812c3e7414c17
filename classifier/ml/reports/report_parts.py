"""What the sections of a report's page are made of: tables, plots kept as files, and sheets of pictures."""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

#: A section: ``id``, ``title``, ``text`` (paragraphs) and, where there are such, ``plot``, ``table``, ``galleries``.
Section = dict[str, Any]


class Sheet:
    """Pictures of one size, collected into one PNG; each gets a number.

    ``columns`` is the number of pictures side by side, ``scale`` the factor by which each pixel is enlarged.
    """

    def __init__(self, name: str, *, columns: int = 12, scale: int = 1) -> None:
        self.name = name
        self._columns, self._scale = columns, scale
        self._tiles: list[NDArray[np.uint8]] = []

    def add(self, picture: NDArray[np.uint8], *, text: str) -> dict[str, Any]:
        """Where the picture uint8[H, W] will be, in pixels of the sheet, and what it shows in words."""
        row, column = divmod(len(self._tiles), self._columns)
        self._tiles.append(picture.repeat(self._scale, axis=0).repeat(self._scale, axis=1))
        height, width = self._tiles[-1].shape
        return {
            "sheet": self.name, "x": column * width, "y": row * height, "size": width, "text": text,
        }  # fmt: skip

    def to_png(self) -> tuple[bytes, tuple[int, int]]:
        """The PNG's bytes, and its width and height in pixels."""
        height, width = self._tiles[0].shape
        rows = -(-len(self._tiles) // self._columns)
        whole = np.zeros((rows * height, min(len(self._tiles), self._columns) * width), dtype=np.uint8)
        for number, tile in enumerate(self._tiles):
            row, column = divmod(number, self._columns)
            whole[row * height : (row + 1) * height, column * width : (column + 1) * width] = tile
        target = io.BytesIO()
        Image.fromarray(whole).save(target, format="PNG", optimize=True)
        return target.getvalue(), (whole.shape[1], whole.shape[0])


def name_plot(name: str, documents: Mapping[str, bytes], *, text: str) -> tuple[dict[str, str], dict[str, bytes]]:
    """A section's plot, and the files that it names; ``text`` says in words what the plot shows."""
    names = {theme: f"{name}-{theme}.svg" for theme in documents}
    return {**names, "text": text}, {names[theme]: content for theme, content in documents.items()}


def build_table(
    caption: str, columns: Sequence[str], rows: Sequence[Sequence[Any]], *, words: int = 1
) -> dict[str, Any]:
    """A table whose first ``words`` columns hold words and the others numbers; each row's first cell is its head."""
    return {
        "caption": caption,
        "columns": [{"title": title, "numeric": index >= words} for index, title in enumerate(columns)],
        "rows": [list(row) for row in rows],
    }

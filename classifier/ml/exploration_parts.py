"""What the sections of the exploration's page are made of: tables, plots kept as files, and sheets of pictures."""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from classifier.ml.dataset import FashionMnist
from classifier.ml.exploration import Exploration
from classifier.ml.labels import GARMENTS

_SHEET_COLUMNS: Final = 12

#: A section: ``id``, ``title``, ``text`` (paragraphs) and, where there are such, ``plot``, ``table``, ``galleries``.
Section = dict[str, Any]


class Sheet:
    """Pictures of one size, collected into one PNG; each gets a number."""

    def __init__(self, name: str) -> None:
        self.name = name
        self._tiles: list[NDArray[np.uint8]] = []

    def add(self, picture: NDArray[np.uint8], *, text: str) -> dict[str, Any]:
        """Where the picture uint8[H, W] will be, in pixels of the sheet, and what it shows in words."""
        number = len(self._tiles)
        self._tiles.append(picture)
        height, width = picture.shape
        row, column = divmod(number, _SHEET_COLUMNS)
        return {
            "sheet": self.name, "x": column * width, "y": row * height, "size": width, "text": text,
        }  # fmt: skip

    def to_png(self) -> tuple[bytes, tuple[int, int]]:
        """The PNG's bytes, and its width and height in pixels."""
        height, width = self._tiles[0].shape
        rows = -(-len(self._tiles) // _SHEET_COLUMNS)
        whole = np.zeros((rows * height, min(len(self._tiles), _SHEET_COLUMNS) * width), dtype=np.uint8)
        for number, tile in enumerate(self._tiles):
            row, column = divmod(number, _SHEET_COLUMNS)
            whole[row * height : (row + 1) * height, column * width : (column + 1) * width] = tile
        target = io.BytesIO()
        Image.fromarray(whole).save(target, format="PNG", optimize=True)
        return target.getvalue(), (whole.shape[1], whole.shape[0])


class ReportParts:
    """Collects sections and the files that they name."""

    def __init__(self, dataset: FashionMnist, exploration: Exploration) -> None:
        self.dataset, self.exploration, self.figures = dataset, exploration, exploration.figures
        self.images = np.concatenate([dataset.train_images, dataset.test_images])
        self.labels = np.concatenate([dataset.train_labels, dataset.test_labels])
        self.train_count = len(dataset.train_images)
        self.size_text = f"Fashion-MNIST, n = {self.train_count:,} + {len(dataset.test_images):,}"
        self.training_text = f"Fashion-MNIST, training pictures, n = {self.train_count:,}"
        self.files: dict[str, bytes] = {}
        self.sheets: dict[str, Sheet] = {}

    def sheet(self, name: str) -> Sheet:
        return self.sheets.setdefault(name, Sheet(name))

    def plot(self, name: str, documents: Mapping[str, bytes], *, text: str) -> dict[str, Any]:
        """Keep the plot's documents as files; ``text`` says in words what the plot shows."""
        names = {theme: f"{name}-{theme}.svg" for theme in documents}
        self.files |= {names[theme]: content for theme, content in documents.items()}
        return {**names, "text": text}

    def picture(self, index: int, *, sheet: str) -> dict[str, Any]:
        """The tile of a picture, counted through training and test pictures."""
        return self.sheet(sheet).add(self.images[index], text=self.name_of(index))

    def name_of(self, index: int) -> str:
        part, number = ("Training", index) if index < self.train_count else ("Test", index - self.train_count)
        return f"{part} {number}: {GARMENTS[self.labels[index]]}"


def percent(share: float, *, digits: int = 1) -> str:
    """A share as the site writes it: 0.102 becomes "10.2 %"."""
    return f"{100 * share:.{digits}f} %"


def build_table(
    caption: str, columns: Sequence[str], rows: Sequence[Sequence[Any]], *, words: int = 1
) -> dict[str, Any]:
    """A table whose first ``words`` columns hold words and the others numbers; each row's first cell is its head."""
    return {
        "caption": caption,
        "columns": [{"title": title, "numeric": index >= words} for index, title in enumerate(columns)],
        "rows": [list(row) for row in rows],
    }

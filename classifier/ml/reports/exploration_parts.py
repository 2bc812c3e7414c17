"""What the sections of the exploration's page share: its pictures, the files that they name, and the sheets."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from classifier.ml.data.dataset import FashionMnist
from classifier.ml.labels import GARMENTS
from classifier.ml.reports.exploration import Exploration
from classifier.ml.reports.report_parts import Sheet, name_plot


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
        plot, files = name_plot(name, documents, text=text)
        self.files |= files
        return plot

    def picture(self, index: int, *, sheet: str) -> dict[str, Any]:
        """The tile of a picture, counted through training and test pictures."""
        return self.sheet(sheet).add(self.images[index], text=self.name_of(index))

    def name_of(self, index: int) -> str:
        part, number = ("Training", index) if index < self.train_count else ("Test", index - self.train_count)
        return f"{part} {number}: {GARMENTS[self.labels[index]]}"

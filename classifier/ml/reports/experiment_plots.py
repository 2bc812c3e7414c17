"""The plots of an experiment and the sheet of its mistakes, drawn from the record alone."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from classifier.ml.labels import GARMENTS, GROUPS
from classifier.ml.reports.plots import Line, plot_lines, plot_matrix
from classifier.ml.reports.report_parts import Sheet, name_plot

#: A picture of 28 pixels is shown on 84, which a reader of the plain file can see.
_SCALE: Final = 3
_COLUMNS: Final = 8
#: A bin of fewer pictures says nothing: its accuracy is in the table and not in the plot.
MINIMUM_BIN: Final = 10


def draw_plots(record: Mapping[str, Any]) -> tuple[dict[str, Any], dict[str, bytes]]:
    """For each plot's name its files and what it shows in words; and the files' contents by name."""
    recipe, images = record["recipe"]["name"], record["costs"]["images"]
    below = f"{recipe}, test pictures, n = {images:,}"
    drawn = {
        f"confusion-{kind}": (
            plot_matrix(
                _row_shares(np.array(record["confusion"][kind])),
                names=names,
                title=f"Confusion over {kind}\n{below}",
                axes_labels=("said, % of the true label's pictures", "true"),
                digits=digits,
            ),
            f"Matrix of true {kind} against what was said, {recipe}",
        )
        for kind, names, digits in (("groups", GROUPS, 1), ("garments", GARMENTS, 0))
    }
    filled = [row for row in record["reliability"] if row["count"] >= MINIMUM_BIN]
    drawn["reliability"] = (
        plot_lines(
            [
                Line("as right as it is sure", [(0.0, 0.0), (1.0, 1.0)], dots=False, reference=True),
                Line("measured", [(row["confidence"], row["accuracy"]) for row in filled]),
            ],
            title=f"Reliability\n{below}",
            axes_labels=("mean confidence of a bin", "share of right labels"),
            percentages=(True, True),
        ),
        f"Line of accuracy against confidence, {recipe}",
    )
    points = record["risk_coverage"]["points"]
    drawn["risk-coverage"] = (
        plot_lines(
            [Line("most confident first", [(point["coverage"], point["risk"]) for point in points])],
            title=f"Risk against coverage\n{below}",
            axes_labels=("coverage: share of pictures that are answered", "risk: share of wrong answers"),
            percentages=(True, True),
        ),
        f"Line of the share of wrong answers against the share of pictures answered, {recipe}",
    )
    if history := record["history"]:
        drawn["training"] = (
            plot_lines(
                [
                    Line(title, [(row["epoch"], row[column]) for row in history])
                    for title, column in (("training", "loss"), ("validation", "validation_loss"))
                ],
                title=f"Loss while training\n{recipe}",
                axes_labels=("epoch", "loss"),
            ),
            f"Lines of training and validation loss over the epochs, {recipe}",
        )
    plots: dict[str, Any] = {}
    files: dict[str, bytes] = {}
    for name, (documents, text) in drawn.items():
        plots[name], written = name_plot(f"{recipe}-{name}", documents, text=text)
        files |= written
    return plots, files


def draw_gallery(
    record: Mapping[str, Any], *, images: NDArray[np.uint8]
) -> tuple[list[dict[str, Any]], dict[str, Any], dict[str, bytes]]:
    """The record's mistakes with a tile each, the size of each sheet by its name, and the sheets' files.

    ``images`` is uint8[N, H, W]; a mistake names its picture by index.
    """
    sheet = Sheet(f"{record['recipe']['name']}-mistakes.png", columns=_COLUMNS, scale=_SCALE)
    mistakes = [
        {**row, "tile": sheet.add(images[row["index"]], text=f"Test {row['index']}: {row['garment']}")}
        for row in record["mistakes"]
    ]
    if not mistakes:
        return [], {}, {}
    content, (width, height) = sheet.to_png()
    return mistakes, {sheet.name: {"width": width, "height": height}}, {sheet.name: content}


def _row_shares(counts: NDArray[np.integer]) -> NDArray[np.float64]:
    """Each row divided by its sum, which may be 0."""
    shares: NDArray[np.float64] = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    return shares

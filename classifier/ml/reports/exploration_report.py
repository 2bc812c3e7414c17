"""The exploration as a page: sections of text, a plot, a table and a gallery, with the pictures that they show.

Everything a reader sees is decided here, from the figures at hand, and stored; a page only lays it out. A picture of
the data set is named by its place in a sheet, a PNG that holds many of them.
"""

from __future__ import annotations

from typing import Any, Final

import numpy as np

from classifier.ml.data.dataset import FashionMnist
from classifier.ml.labels import GARMENTS, GROUP_OF_GARMENT, GROUPS, group_labels
from classifier.ml.reports.exploration import Exploration
from classifier.ml.reports.exploration_doubts import describe_confusions, describe_duplicates, describe_label_errors
from classifier.ml.reports.exploration_parts import ReportParts
from classifier.ml.reports.plots import plot_bars
from classifier.ml.reports.report_parts import Section, build_table
from classifier.ml.words import percent

EXAMPLES_PER_GARMENT: Final = 12


def build_report(
    dataset: FashionMnist, exploration: Exploration
) -> tuple[list[Section], dict[str, Any], dict[str, bytes]]:
    """The page's sections, the size of each sheet in pixels by its name, and all files by name."""
    report = ReportParts(dataset, exploration)
    sections = [
        _overview(report),
        _labels(report, kind="garments", title="Labels before grouping"),
        _labels(report, kind="groups", title="Labels after grouping"),
        _pixel_means(report),
        _pixel_medians(report),
        describe_duplicates(report),
        describe_confusions(report),
        describe_label_errors(report),
    ]
    sizes = {}
    for name, sheet in report.sheets.items():
        report.files[name], (width, height) = sheet.to_png()
        sizes[name] = {"width": width, "height": height}
    return sections, sizes, report.files


def _overview(report: ReportParts) -> Section:
    train, test = report.figures["parts"]["train"], report.figures["parts"]["test"]
    standard, seed = report.figures["standardisation"], report.figures["duplicates"]["split"]["seed"]
    facts = [
        ("Pictures", f"{train['images']:,}", f"{test['images']:,}"),
        ("Size, pixels", f"{train['width']} x {train['height']}", f"{test['width']} x {test['height']}"),
        ("Channels", "1 (grey)", "1 (grey)"),
        ("Range of values", f"{train['minimum']} to {train['maximum']}", f"{test['minimum']} to {test['maximum']}"),
        ("Mean value", f"{train['mean']:.2f}", f"{test['mean']:.2f}"),
        ("Standard deviation", f"{train['standard_deviation']:.2f}", f"{test['standard_deviation']:.2f}"),
        ("Black pixels", percent(train["black_share"]), percent(test["black_share"])),
    ]
    items = []
    for label, garment in enumerate(GARMENTS):
        examples = np.flatnonzero(report.dataset.train_labels == label)[:EXAMPLES_PER_GARMENT]
        tiles = [report.picture(int(index), sheet="examples.png") for index in examples]
        items.append({"tiles": tiles, "lines": [garment, GROUP_OF_GARMENT[garment]]})
    return {
        "id": "pictures",
        "title": "The pictures",
        "text": [
            "Every picture is one garment, bright on black, cut to its edges. Black is the background: about half of "
            "all pixels. Both parts have the same brightness, so that nothing speaks against measuring on "
            "the test part.",
            f"Standardisation uses the training part alone: {standard['images']:,} pictures (80 %, stratified, seed "
            f"{seed}) have mean {standard['mean']:.2f} and standard deviation {standard['standard_deviation']:.2f}. "
            f"Published for another draw of that size: {standard['published_mean']:.2f} and "
            f"{standard['published_standard_deviation']:.2f}.",
        ],
        "table": build_table(report.size_text, ("", "Training", "Test"), facts),
        "galleries": [
            {
                "title": f"The first {EXAMPLES_PER_GARMENT} training pictures of each garment",
                "kind": "strips",
                "items": items,
            }
        ],
    }


def _labels(report: ReportParts, *, kind: str, title: str) -> Section:
    rows = report.figures["labels"][kind]
    names = [row["name"] for row in rows]
    text = {
        "garments": "All ten garments are equally frequent, in both parts. Plain accuracy over garments is therefore a "
        "fair measure, and a stratified split changes no share.",
        "groups": "Grouping makes the labels uneven: two pictures in five are an upper part, one in ten is a one "
        "piece. Always answering Upper part would be right on 40 %. Recall and precision of each group have to be read "
        "beside the accuracy, and training counts garments, not groups, so that no group is drowned.",
    }[kind]
    plot = plot_bars(
        names,
        series={"Training": [row["train"] for row in rows], "Test": [row["test"] for row in rows]},
        title=f"{title}\n{report.size_text}",
        axis="pictures",
    )
    cells = [
        (row["name"], f"{row['train']:,}", percent(row["train_share"]), f"{row['test']:,}", percent(row["test_share"]))
        for row in rows
    ]
    return {
        "id": kind,
        "title": title,
        "text": [text],
        "plot": report.plot(f"labels-{kind}", plot, text=f"Bars of the number of pictures of each of the {kind}"),
        "table": build_table(report.size_text, (kind[:-1].capitalize(), "Training", "Share", "Test", "Share"), cells),
    }


def _pixel_means(report: ReportParts) -> Section:
    train, test = report.figures["pixels"]["train"], report.figures["pixels"]["test"]
    plot = plot_bars(
        GROUPS,
        series={"Training": [row["mean"] for row in train], "Test": [row["mean"] for row in test]},
        ranges={
            name: [
                (max(0.0, row["mean"] - row["picture_mean_deviation"]), row["mean"] + row["picture_mean_deviation"])
                for row in rows
            ]
            for name, rows in (("Training", train), ("Test", test))
        },
        title=f"Mean pixel value per group\n{report.size_text}",
        axis="mean pixel value (0 to 255)\nline: ± 1 standard deviation of the pictures' means",
    )
    groups = group_labels(report.dataset.train_labels)
    cells = []
    for index, (row, other) in enumerate(zip(train, test, strict=True)):
        picture = np.rint(report.dataset.train_images[groups == index].mean(axis=0)).astype(np.uint8)
        tile = report.sheet("average-pictures.png").add(
            picture, text=f"mean of the training pictures of {row['group']}"
        )
        cells.append(
            (row["group"], tile, f"{row['mean']:.1f}", f"{row['picture_mean_deviation']:.1f}", f"{other['mean']:.1f}")
        )
    return {
        "id": "means",
        "title": "Mean pixel value per group",
        "text": [
            "Upper parts and bags fill the frame and are brightest; trousers and shoes leave most of it black. The "
            "spread between the pictures of one group is as large as the difference between groups: brightness alone "
            "tells no group, and a picture must not be judged by its exposure.",
        ],
        "plot": report.plot("pixel-mean", plot, text="Bars of the mean pixel value of each group, training and test"),
        "table": build_table(
            report.size_text, ("Group", "Mean picture", "Training", "Deviation", "Test"), cells, words=2
        ),
    }


def _pixel_medians(report: ReportParts) -> Section:
    train, test = report.figures["pixels"]["train"], report.figures["pixels"]["test"]
    plot = plot_bars(
        GROUPS,
        series={"Training": [row["median"] for row in train], "Test": [row["median"] for row in test]},
        ranges={
            name: [(row["lower_quartile"], row["upper_quartile"]) for row in rows]
            for name, rows in (("Training", train), ("Test", test))
        },
        title=f"Median pixel value per group\n{report.size_text}",
        axis="median pixel value (0 to 255)\nline: lower to upper quartile of the pixels",
    )
    groups = group_labels(report.dataset.train_labels)
    cells = []
    for index, (row, other) in enumerate(zip(train, test, strict=True)):
        picture = np.rint(np.median(report.dataset.train_images[groups == index], axis=0)).astype(np.uint8)
        tile = report.sheet("average-pictures.png").add(
            picture, text=f"median of the training pictures of {row['group']}"
        )
        cells.append(
            (
                row["group"],
                tile,
                f"{row['median']:.0f}",
                f"{row['upper_quartile']:.0f}",
                percent(row["black_share"]),
                f"{other['median']:.0f}",
            )
        )
    black = [row["group"] for row in train if row["median"] == 0]
    return {
        "id": "medians",
        "title": "Median pixel value per group",
        "text": [
            "The median is 0 where more than half of a group's pixels are background: "
            f"{', '.join(black) or 'no group'}. "
            "Mean and median lie far apart, because pixels are either black or fairly bright: no bell curve "
            "describes them."
        ],
        "plot": report.plot(
            "pixel-median", plot, text="Bars of the median pixel value of each group, training and test"
        ),
        "table": build_table(
            report.size_text, ("Group", "Median picture", "Training", "Upper quartile", "Black", "Test"), cells, words=2
        ),
    }

"""The sections on what may mislead: copies, garments that are taken for each other, labels that may be wrong."""

from __future__ import annotations

from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from classifier.ml.data.duplicates import LOOK_ALIKE_DISTANCE, NEAR_DUPLICATE_DISTANCE
from classifier.ml.labels import GARMENTS
from classifier.ml.reports.exploration import is_across
from classifier.ml.reports.exploration_parts import ReportParts
from classifier.ml.reports.plots import Marker, plot_bars, plot_histogram, plot_matrix
from classifier.ml.reports.report_parts import Section, build_table
from classifier.ml.words import percent

_GALLERY_PAIRS: Final = 12
_GALLERY_SUSPECTS: Final = 24
_CONFUSED_ROWS: Final = 10
_PAIR_KEYS: Final = (
    "pairs", "within_train", "within_test", "across", "pictures", "test_pictures_with_a_training_partner",
    "garments_disagree", "groups_disagree",
)  # fmt: skip
_PAIR_TITLES: Final = (
    "Pairs", "In training", "In test", "Across", "Pictures", "Test pictures with a partner in training",
    "Garments differ", "Groups differ",
)  # fmt: skip


def describe_duplicates(report: ReportParts) -> Section:
    """How many pairs are copies or look alike, and what that does to a measurement."""
    figures, pairs = report.figures["duplicates"], report.exploration.pairs
    rows = figures["by_distance"]
    near = next(row for row in rows if row["distance"] == NEAR_DUPLICATE_DISTANCE)
    edges = np.arange(0, LOOK_ALIKE_DISTANCE + 0.005, 0.01)
    across = is_across(pairs, train_count=report.train_count)
    counts = {
        "Within one part": np.histogram(pairs.distances[~across], bins=edges)[0],
        "One in training, one in test": np.histogram(pairs.distances[across], bins=edges)[0],
    }
    plot = plot_histogram(
        counts,
        edges=edges,
        markers=[Marker(position=NEAR_DUPLICATE_DISTANCE, text="near-duplicates")],
        title=f"Pairs of pictures that are alike\n{report.size_text}",
        axes_labels=("distance (0 equal, 1.41 nothing in common)", "pairs"),
    )
    cells = [
        (f"{row['distance']:.2f}", *(f"{row[key]:,}" for key in _PAIR_KEYS))
        for row in ({"distance": 0.0, **figures["exact"]}, *rows)
    ]
    garments_differ = report.labels[pairs.indices[:, 0]] != report.labels[pairs.indices[:, 1]]
    test_count = len(report.dataset.test_images)
    leaked = near["test_pictures_with_a_training_partner"]
    return {
        "id": "duplicates",
        "title": "Duplicates and near-duplicates",
        "text": [
            f"{figures['exact']['pairs']:,} pairs of pictures are equal in every pixel. {near['pairs']:,} pairs are "
            f"near-duplicates: scaled to equal brightness, they differ by at most {NEAR_DUPLICATE_DISTANCE:.2f} of "
            f"their length ({percent(NEAR_DUPLICATE_DISTANCE**2)} of their energy). Up to there pairs are few and "
            "evenly spread; beyond it their number doubles with every 0.01, because plain garments of one cut begin to "
            "look alike. A copy that was moved or mirrored is not counted.",
            f"For evaluation: {leaked:,} of the {test_count:,} test pictures have a near-duplicate in the training "
            f"part. Remembering these could raise an accuracy by at most {percent(leaked / test_count, digits=2)}: "
            + (
                "too little to show in figures of two decimals, so that the test part is used whole."
                if leaked / test_count < 0.005
                else "figures should be given without these pictures as well."
            ),
            f"The product's own split (seed {figures['split']['seed']}) puts {figures['split']['separated']:,} of the "
            f"{figures['split']['pairs']:,} pairs of training pictures into different parts; "
            f"{near['garments_disagree']:,} near-duplicates and {rows[-1]['garments_disagree']:,} of the pairs up to "
            f"{LOOK_ALIKE_DISTANCE:.2f} carry different garments, {rows[-1]['groups_disagree']:,} different groups.",
        ],
        "plot": report.plot("duplicates", plot, text="Histogram of the distance of alike pairs on a logarithmic scale"),
        "table": build_table(report.size_text, ("Distance up to", *_PAIR_TITLES), cells, words=0),
        "galleries": [
            _pair_gallery(
                report, across & (pairs.distances <= NEAR_DUPLICATE_DISTANCE), "Closest pairs across training and test"
            ),
            _pair_gallery(
                report, ~across & (pairs.distances <= NEAR_DUPLICATE_DISTANCE), "Closest pairs within one part"
            ),
            _pair_gallery(report, garments_differ, "Closest pairs with different garments"),
        ],
    }


def _pair_gallery(report: ReportParts, chosen: NDArray[np.bool_], title: str) -> dict[str, Any]:
    pairs = report.exploration.pairs
    numbers = np.flatnonzero(chosen)
    items = []
    for number in numbers[:_GALLERY_PAIRS]:
        first, second = (int(index) for index in pairs.indices[number])
        lines = [
            report.name_of(first),
            report.name_of(second),
            f"distance {pairs.distances[number]:.3f}",
        ]
        items.append(
            {"tiles": [report.picture(index, sheet="duplicates.png") for index in (first, second)], "lines": lines}
        )
    return {"title": f"{title}: {len(items)} of {len(numbers):,}", "kind": "pairs", "items": items}


def describe_confusions(report: ReportParts) -> Section:
    """Which garments the judge takes for each other."""
    figures = report.figures["label_errors"]
    confusion = report.exploration.confusion
    shares = confusion / np.maximum(confusion.sum(axis=1, keepdims=True), 1)
    plot = plot_matrix(
        shares,
        names=GARMENTS,
        title=f"Out-of-fold answers, % of each garment\n{report.training_text}",
        axes_labels=("predicted", "given label"),
    )
    cells = [
        (
            " and ".join(row["garments"]),
            "no" if row["same_group"] else "yes",
            f"{row['mistakes']:,}",
            percent(row["share"]),
        )
        for row in figures["confused_pairs"][:_CONFUSED_ROWS]
    ]
    mistakes = sum(row["mistakes"] for row in figures["confused_pairs"])
    crossing = [row for row in figures["confused_pairs"] if not row["same_group"]][:3]
    worst = ", ".join(" with ".join(row["garments"]) for row in crossing)
    harmless = sum(row["mistakes"] for row in figures["confused_pairs"] if row["same_group"])
    return {
        "id": "confusions",
        "title": "The most confusable garments",
        "text": [
            f"A cheap judge (ridge regression on edges and brightness) answers for every training picture from weights "
            f"fitted on the other folds, {figures['folds']} in all; no test picture takes part. It is right on "
            f"{percent(figures['garment_accuracy'])} of the garments and {percent(figures['group_accuracy'])} of the "
            "groups.",
            f"{harmless:,} of its {mistakes:,} mistakes stay within a group and cost the product nothing. The others "
            f"change the label of a product, most often {worst}.",
        ],
        "plot": report.plot("confusions", plot, text="Matrix of given against predicted garments, percent of each row"),
        "table": build_table(
            f"The {len(cells)} most confused pairs, both directions; {report.training_text}",
            ("Garments", "Changes the group", "Mistakes", "Share of both"), cells, words=2,
        ),
    }  # fmt: skip


def describe_label_errors(report: ReportParts) -> Section:
    """Which labels the judge doubts."""
    figures = report.figures["label_errors"]
    rows = figures["suspects_by_label"]
    plot = plot_bars(
        GARMENTS,
        series={
            "Within the group": [row["suspects"] - row["suspects_across_groups"] for row in rows],
            "Another group": [row["suspects_across_groups"] for row in rows],
        },
        title=f"Doubtful labels\n{report.training_text}",
        axis="pictures whose label is doubtful",
    )
    cells = [
        (
            row["garment"],
            row["most_like"] or "none",
            f"{row['suspects']:,}",
            percent(row["share"]),
            f"{row['suspects_across_groups']:,}",
        )
        for row in rows
    ]
    doubtful, crossing = figures["suspects"], figures["suspects_across_groups"]
    suspects = report.exploration.suspects.across_groups()
    items = []
    for number in range(min(_GALLERY_SUSPECTS, len(suspects.indices))):
        given, predicted = GARMENTS[suspects.given[number]], GARMENTS[suspects.predicted[number]]
        lines = [
            f"Given: {given}",
            f"Predicted: {predicted}",
            f"Training {suspects.indices[number]}, {percent(suspects.predicted_probability[number])}",
        ]
        items.append(
            {"tiles": [report.picture(int(suspects.indices[number]), sheet="label-errors.png")], "lines": lines}
        )
    return {
        "id": "label-errors",
        "title": "Likely label errors",
        "text": [
            f"{doubtful:,} training pictures ({percent(doubtful / report.train_count)}) look more "
            "like another garment than like their own, and as much like it as pictures that carry its label. "
            f"{crossing:,} of them ({percent(crossing / report.train_count, digits=2)}) would change the group.",
            "Not every one is an error: some are the judge's. They are worth a person's look, those across groups "
            "first. They stay in training as they are, and no picture of the test part was judged or left out: the "
            "published labels are what the published results were measured with. Some of the mistakes that a better "
            "classifier still makes on test pictures will be of this kind.",
        ],
        "plot": report.plot("label-errors", plot, text="Bars of the number of doubtful labels of each garment"),
        "table": build_table(
            report.training_text,
            ("Given label", "Most look like", "Doubtful", "Share", "Another group"),
            cells,
            words=2,
        ),
        "galleries": [
            {
                "title": f"Most certain across groups, with the probability of the prediction: {len(items)} of "
                f"{len(suspects.indices):,}",
                "kind": "pictures",
                "items": items,
            }
        ],
    }

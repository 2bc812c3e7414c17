"""The report on the data set: what it holds, and what in it may mislead."""

from collections.abc import Callable, Mapping
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from classifier.ml.data.dataset import FashionMnist
from classifier.ml.data.duplicates import LOOK_ALIKE_DISTANCE, NEAR_DUPLICATE_DISTANCE
from classifier.ml.labels import GARMENTS, GROUP_OF_GARMENT, GROUPS, group_labels
from classifier.ml.reports.exploration import Exploration, is_across
from classifier.ml.reports.plots import plot_bars, plot_histogram, plot_matrix
from classifier.ml.reports.sections import Block, ReportFiles, Section, build_section, build_table
from classifier.ml.words import percent

EXAMPLES_PER_GARMENT: Final = 12
_GALLERY_PAIRS: Final = 12
_GALLERY_SUSPECTS: Final = 24
_CONFUSED_ROWS: Final = 10
_PAIR_COLUMNS: Final = {
    "pairs": "Pairs", "within_train": "In training", "within_test": "In test", "across": "Across",
    "pictures": "Pictures", "test_pictures_with_a_training_partner": "Test pictures with a partner in training",
    "garments_disagree": "Garments differ", "groups_disagree": "Groups differ",
}  # fmt: skip


def build_report(dataset: FashionMnist, exploration: Exploration) -> tuple[dict[str, Any], dict[str, bytes]]:
    """The report's ``sections``, the size of each of its ``sheets`` in pixels by name, and all its files by name."""
    report = _Report(dataset, exploration)
    sections = [
        report.describe_pictures(),
        report.describe_labels("garments", title="Labels before grouping"),
        report.describe_labels("groups", title="Labels after grouping"),
        report.describe_means(),
        report.describe_medians(),
        report.describe_duplicates(),
        report.describe_confusions(),
        report.describe_label_errors(),
    ]
    return {"sections": sections, "sheets": report.files.write_sheets()}, report.files.contents


class _Report:
    """The sections, each a method, and the files that they collect."""

    def __init__(self, dataset: FashionMnist, exploration: Exploration) -> None:
        self.figures, self.pairs = exploration.figures, exploration.pairs
        self.suspects = exploration.suspects.across_groups()
        self.images = np.concatenate([dataset.train_images, dataset.test_images])
        self.labels = np.concatenate([dataset.train_labels, dataset.test_labels])
        self.train_count, self.test_count = len(dataset.train_images), len(dataset.test_images)
        self.all_text = f"Fashion-MNIST, n = {self.train_count:,} + {self.test_count:,}"
        self.training_text = f"Fashion-MNIST, training pictures, n = {self.train_count:,}"
        self.files = ReportFiles()

    def describe_pictures(self) -> Section:
        train, test = self.figures["parts"]["train"], self.figures["parts"]["test"]
        standard, seed = self.figures["standardisation"], self.figures["duplicates"]["split"]["seed"]
        facts = [
            ("Pictures", f"{train['images']:,}", f"{test['images']:,}"),
            ("Size, pixels", f"{train['width']} x {train['height']}", f"{test['width']} x {test['height']}"),
            ("Channels", "1 (grey)", "1 (grey)"),
            ("Range of values", f"{train['minimum']} to {train['maximum']}", f"{test['minimum']} to {test['maximum']}"),
            ("Mean value", f"{train['mean']:.2f}", f"{test['mean']:.2f}"),
            ("Standard deviation", f"{train['standard_deviation']:.2f}", f"{test['standard_deviation']:.2f}"),
            ("Black pixels", percent(train["black_share"]), percent(test["black_share"])),
        ]
        entries = [
            {
                "tiles": [
                    self._add_tile("examples", int(index))
                    for index in np.flatnonzero(self.labels[: self.train_count] == label)[:EXAMPLES_PER_GARMENT]
                ],
                "lines": [garment, GROUP_OF_GARMENT[garment]],
            }
            for label, garment in enumerate(GARMENTS)
        ]
        return build_section(
            "pictures",
            "The pictures",
            [
                "Every picture is one garment, bright on black, cut to its edges. Black is the background: about half "
                "of all pixels. Both parts have the same brightness, so that nothing speaks against measuring on the "
                "test part.",
                f"Standardisation uses the training part alone: {standard['images']:,} pictures (stratified, "
                f"seed {seed}) have mean {standard['mean']:.2f} and standard deviation "
                f"{standard['standard_deviation']:.2f}. Published for another draw of that size: "
                f"{standard['published_mean']:.2f} and {standard['published_standard_deviation']:.2f}.",
            ],
            {"table": build_table(self.all_text, ("", "Training", "Test"), facts)},
            {
                "title": f"The first {EXAMPLES_PER_GARMENT} training pictures of each garment",
                "gallery": {"kind": "strips", "entries": entries},
            },
        )

    def describe_labels(self, kind: str, *, title: str) -> Section:
        rows = self.figures["labels"][kind]
        text = {
            "garments": "All ten garments are equally frequent, in both parts. Plain accuracy over garments is "
            "therefore a fair measure, and a stratified split changes no share.",
            "groups": "Grouping makes the labels uneven: two pictures in five are an upper part, one in ten is a one "
            "piece. Always answering Upper part would be right on 40 %. Recall and precision of each group have to be "
            "read beside the accuracy, and training counts garments, not groups, so that no group is drowned.",
        }[kind]
        plot = plot_bars(
            [row["name"] for row in rows],
            series={"Training": [row["train"] for row in rows], "Test": [row["test"] for row in rows]},
            title=f"{title}\n{self.all_text}",
            axis="pictures",
        )
        cells = [
            (
                row["name"],
                *(text for part in ("train", "test") for text in (f"{row[part]:,}", percent(row[f"{part}_share"]))),
            )
            for row in rows
        ]
        plot_text = f"Bars of the number of pictures of each of the {kind}"
        table = build_table(self.all_text, (kind[:-1].capitalize(), "Training", "Share", "Test", "Share"), cells)
        return build_section(
            kind, title, [text], {"plot": self.files.add_plot(f"labels-{kind}", plot, text=plot_text), "table": table}
        )

    def describe_means(self) -> Section:
        return build_section(
            "means",
            "Mean pixel value per group",
            [
                "Upper parts and bags fill the frame and are brightest; trousers and shoes leave most of it black. The "
                "spread between the pictures of one group is as large as the difference between groups: brightness "
                "alone tells no group, and a picture must not be judged by its exposure.",
            ],
            self._compare_pixels(
                "mean",
                spread=lambda row: (
                    max(0.0, row["mean"] - row["picture_mean_deviation"]),
                    row["mean"] + row["picture_mean_deviation"],
                ),
                line="± 1 standard deviation of the pictures' means",
                columns={"Deviation": lambda row: f"{row['picture_mean_deviation']:.1f}"},
                digits=1,
            ),
        )

    def describe_medians(self) -> Section:
        black = [row["group"] for row in self.figures["pixels"]["train"] if row["median"] == 0]
        return build_section(
            "medians",
            "Median pixel value per group",
            [
                "The median is 0 where more than half of a group's pixels are background: "
                f"{', '.join(black) or 'no group'}. Mean and median lie far apart, because pixels are either black or "
                "fairly bright: no bell curve describes them."
            ],
            self._compare_pixels(
                "median",
                spread=lambda row: (row["lower_quartile"], row["upper_quartile"]),
                line="lower to upper quartile of the pixels",
                columns={
                    "Upper quartile": lambda row: f"{row['upper_quartile']:.0f}",
                    "Black": lambda row: percent(row["black_share"]),
                },
                digits=0,
            ),
        )

    def _compare_pixels(
        self,
        measure: str,
        *,
        spread: Callable[[Mapping[str, Any]], tuple[float, float]],
        line: str,
        columns: Mapping[str, Callable[[Mapping[str, Any]], str]],
        digits: int,
    ) -> Block:
        """The mean or median of each group's pixels, in both parts, beside the mean or median picture."""
        pixels, titles = self.figures["pixels"], {"train": "Training", "test": "Test"}
        plot = plot_bars(
            GROUPS,
            series={title: [row[measure] for row in pixels[part]] for part, title in titles.items()},
            ranges={title: list(map(spread, pixels[part])) for part, title in titles.items()},
            title=f"{measure.capitalize()} pixel value per group\n{self.all_text}",
            axis=f"{measure} pixel value (0 to 255)\nline: {line}",
        )
        cells = [
            (
                train["group"],
                self._add_average(measure, group=train["group"]),
                f"{train[measure]:.{digits}f}",
                *(write(train) for write in columns.values()),
                f"{test[measure]:.{digits}f}",
            )
            for train, test in zip(pixels["train"], pixels["test"], strict=True)
        ]
        return {
            "plot": self.files.add_plot(
                f"pixel-{measure}", plot, text=f"Bars of the {measure} pixel value of each group, training and test"
            ),
            "table": build_table(
                self.all_text,
                ("Group", f"{measure.capitalize()} picture", "Training", *columns, "Test"),
                cells,
                words=2,
            ),
        }

    def _add_average(self, measure: str, *, group: str) -> dict[str, Any]:
        """The tile of the mean or median of a group's training pictures."""
        chosen = self.images[: self.train_count][group_labels(self.labels[: self.train_count]) == GROUPS.index(group)]
        average = chosen.mean(axis=0) if measure == "mean" else np.median(chosen, axis=0)
        text = f"{measure} of the training pictures of {group}"
        return self.files.add_tile("average-pictures", np.rint(average).astype(np.uint8), text=text)

    def describe_duplicates(self) -> Section:
        """How many pairs are copies or look alike, and what that does to a measurement."""
        figures, pairs = self.figures["duplicates"], self.pairs
        rows, exact, split = figures["by_distance"], figures["exact"], figures["split"]
        near = next(row for row in rows if row["distance"] == NEAR_DUPLICATE_DISTANCE)
        edges = np.arange(0, LOOK_ALIKE_DISTANCE + 0.005, 0.01)
        across = is_across(pairs, train_count=self.train_count)
        plot = plot_histogram(
            {
                "Within one part": np.histogram(pairs.distances[~across], bins=edges)[0],
                "One in training, one in test": np.histogram(pairs.distances[across], bins=edges)[0],
            },
            edges=edges,
            marker=(NEAR_DUPLICATE_DISTANCE, "near-duplicates"),
            title=f"Pairs of pictures that are alike\n{self.all_text}",
            axes_labels=("distance (0 equal, 1.41 nothing in common)", "pairs"),
        )
        cells = [
            (f"{row['distance']:.2f}", *(f"{row[key]:,}" for key in _PAIR_COLUMNS))
            for row in ({"distance": 0.0, **exact}, *rows)
        ]
        is_near = pairs.distances <= NEAR_DUPLICATE_DISTANCE
        garments_differ = self.labels[pairs.indices[:, 0]] != self.labels[pairs.indices[:, 1]]
        leaked = near["test_pictures_with_a_training_partner"]
        return build_section(
            "duplicates",
            "Duplicates and near-duplicates",
            [
                f"{exact['pairs']:,} pairs of pictures are equal in every pixel. {near['pairs']:,} pairs are "
                f"near-duplicates: scaled to equal brightness, they differ by at most {NEAR_DUPLICATE_DISTANCE:.2f} of "
                f"their length ({percent(NEAR_DUPLICATE_DISTANCE**2)} of their energy). Up to there pairs are few and "
                "evenly spread; beyond it their number doubles with every 0.01, because plain garments of one cut "
                "begin to look alike. A copy that was moved or mirrored is not counted.",
                f"For evaluation: {leaked:,} of the {self.test_count:,} test pictures have a near-duplicate in the "
                "training part. Remembering these could raise an accuracy by at most "
                f"{percent(leaked / self.test_count, digits=2)}: "
                + (
                    "too little to show in figures of two decimals, so that the test part is used whole."
                    if leaked / self.test_count < 0.005
                    else "figures should be given without these pictures as well."
                ),
                f"The product's own split (seed {split['seed']}) puts {split['separated']:,} of the "
                f"{split['pairs']:,} pairs of training pictures into different parts; "
                f"{near['garments_disagree']:,} near-duplicates and {rows[-1]['garments_disagree']:,} of the pairs up "
                f"to {LOOK_ALIKE_DISTANCE:.2f} carry different garments, {rows[-1]['groups_disagree']:,} different "
                "groups.",
            ],
            {
                "plot": self.files.add_plot(
                    "duplicates", plot, text="Histogram of the distance of alike pairs on a logarithmic scale"
                ),
                "table": build_table(self.all_text, ("Distance up to", *_PAIR_COLUMNS.values()), cells, words=0),
            },
            self._show_pairs("Closest pairs across training and test", across & is_near),
            self._show_pairs("Closest pairs within one part", ~across & is_near),
            self._show_pairs("Closest pairs with different garments", garments_differ),
        )

    def _show_pairs(self, title: str, chosen: NDArray[np.bool_]) -> Block:
        """The first of the chosen pairs, bool[M]; the closest come first."""
        numbers = np.flatnonzero(chosen)
        shown = [(self.pairs.indices[number].tolist(), self.pairs.distances[number]) for number in numbers]
        entries = [
            {
                "tiles": [self._add_tile("duplicates", index) for index in pair],
                "lines": [*map(self._name_picture, pair), f"distance {distance:.3f}"],
            }
            for pair, distance in shown[:_GALLERY_PAIRS]
        ]
        return {
            "title": f"{title}: {len(entries)} of {len(numbers):,}",
            "gallery": {"kind": "pairs", "entries": entries},
        }

    def describe_confusions(self) -> Section:
        """Which garments are taken for each other, out of fold."""
        figures = self.figures["label_errors"]
        confusion, confused = np.array(figures["confusion"]), figures["confused_pairs"]
        plot = plot_matrix(
            confusion,
            names=GARMENTS,
            title=f"Out-of-fold answers, % of each garment\n{self.training_text}",
            axes_labels=("predicted", "given label"),
        )
        cells = [
            (
                " and ".join(row["garments"]), "no" if row["same_group"] else "yes", f"{row['mistakes']:,}",
                percent(row["share"]),
            )
            for row in confused[:_CONFUSED_ROWS]
        ]  # fmt: skip
        crossing = [" with ".join(row["garments"]) for row in confused if not row["same_group"]]
        harmless = sum(row["mistakes"] for row in confused if row["same_group"])
        return build_section(
            "confusions",
            "The most confusable garments",
            [
                "A cheap judge (ridge regression on edges and brightness) answers for every training picture from "
                f"weights fitted on the other folds, {figures['folds']} in all; no test picture takes part. It is "
                f"right on {percent(figures['garment_accuracy'])} of the garments and "
                f"{percent(figures['group_accuracy'])} of the groups.",
                f"{harmless:,} of its {sum(row['mistakes'] for row in confused):,} mistakes stay within a group and "
                "cost the product nothing. The others change the label of a product, most often "
                f"{', '.join(crossing[:3])}.",
            ],
            {
                "plot": self.files.add_plot(
                    "confusions", plot, text="Matrix of given against predicted garments, percent of each row"
                ),
                "table": build_table(
                    f"The {len(cells)} most confused pairs, both directions; {self.training_text}",
                    ("Garments", "Changes the group", "Mistakes", "Share of both"),
                    cells,
                    words=2,
                ),
            },
        )

    def describe_label_errors(self) -> Section:
        """Which labels look wrong."""
        figures, suspects = self.figures["label_errors"], self.suspects
        rows, doubtful, crossing = (figures[key] for key in ("suspects_by_label", "suspects", "suspects_across_groups"))
        plot = plot_bars(
            GARMENTS,
            series={
                "Within the group": [row["suspects"] - row["suspects_across_groups"] for row in rows],
                "Another group": [row["suspects_across_groups"] for row in rows],
            },
            title=f"Doubtful labels\n{self.training_text}",
            axis="pictures whose label is doubtful",
        )
        columns = ("Given label", "Most look like", "Doubtful", "Share", "Another group")
        cells = [
            (
                row["garment"], row["most_like"] or "none", f"{row['suspects']:,}", percent(row["share"]),
                f"{row['suspects_across_groups']:,}",
            )
            for row in rows
        ]  # fmt: skip
        entries = [
            {
                "tiles": [self._add_tile("label-errors", int(suspects.indices[number]))],
                "lines": [
                    f"Given: {GARMENTS[suspects.given[number]]}",
                    f"Predicted: {GARMENTS[suspects.predicted[number]]}",
                    f"Training {suspects.indices[number]}, {percent(suspects.predicted_probability[number])}",
                ],
            }
            for number in range(min(_GALLERY_SUSPECTS, len(suspects.indices)))
        ]
        return build_section(
            "label-errors",
            "Likely label errors",
            [
                f"{doubtful:,} training pictures ({percent(doubtful / self.train_count)}) look more like another "
                "garment than like their own, and as much like it as pictures that carry its label. "
                f"{crossing:,} of them ({percent(crossing / self.train_count, digits=2)}) would change the group.",
                "Not every one is an error: some are the judge's. They are worth a person's look, those across groups "
                "first. They stay in training as they are, and no picture of the test part was judged or left out: the "
                "published labels are what the published results were measured with. Some of the mistakes that a "
                "better classifier still makes on test pictures will be of this kind.",
            ],
            {
                "plot": self.files.add_plot(
                    "label-errors", plot, text="Bars of the number of doubtful labels of each garment"
                ),
                "table": build_table(self.training_text, columns, cells, words=2),
            },
            {
                "title": f"Most certain across groups, with the probability of the prediction: {len(entries)} of "
                f"{len(suspects.indices):,}",
                "gallery": {"kind": "pictures", "entries": entries},
            },
        )

    def _add_tile(self, sheet: str, index: int) -> dict[str, Any]:
        return self.files.add_tile(sheet, self.images[index], text=self._name_picture(index))

    def _name_picture(self, index: int) -> str:
        """What a picture is called, counted through training and test pictures."""
        part, number = ("Training", index) if index < self.train_count else ("Test", index - self.train_count)
        return f"{part} {number}: {GARMENTS[self.labels[index]]}"

"""The figures of the data set, and the page's sections made of them."""

import io
import re
from dataclasses import replace

import numpy as np
import pytest
from PIL import Image

from classifier.ml.data.dataset import FashionMnist
from classifier.ml.labels import GARMENTS
from classifier.ml.reports.exploration import list_confused_pairs
from classifier.ml.reports.plots import plot_histogram, plot_matrix
from tests.support.exploring import explore_drawings, explore_quickly, report_drawings


@pytest.fixture
def noisy_dataset(drawn_dataset: FashionMnist) -> FashionMnist:
    """The drawn data set without copies, but for training picture 0, which is also test picture 0."""
    generator = np.random.default_rng(1)
    train, test = (
        (images * 0.5 + generator.integers(0, 128, size=images.shape)).astype(np.uint8)
        for images in (drawn_dataset.train_images, drawn_dataset.test_images)
    )
    test[0] = train[0]
    return replace(drawn_dataset, train_images=train, test_images=test)


def test_pictures_labels_and_brightness_are_counted(drawn_dataset):
    figures = explore_drawings().figures

    assert figures["parts"]["train"]["images"] == 200
    assert (figures["parts"]["test"]["minimum"], figures["parts"]["test"]["maximum"]) == (0, 255)
    assert [row["train"] for row in figures["labels"]["garments"]] == [20] * 10
    assert [(row["name"], row["train"], row["test"]) for row in figures["labels"]["groups"]] == [
        ("Upper part", 80, 16), ("Bottom part", 20, 4), ("One piece", 20, 4), ("Footwear", 60, 12), ("Bags", 20, 4),
    ]  # fmt: skip
    trousers = drawn_dataset.train_images[drawn_dataset.train_labels == GARMENTS.index("Trouser")]
    row = figures["pixels"]["train"][1]
    assert row["mean"] == pytest.approx(trousers.mean(), abs=0.01)
    assert row["median"] == np.median(trousers) == 0


def test_no_test_picture_has_a_say_in_standardisation_and_doubtful_labels(drawn_dataset):
    noise = np.random.default_rng(1).integers(0, 256, size=drawn_dataset.test_images.shape, dtype=np.uint8)
    changed = replace(drawn_dataset, test_images=noise, test_labels=drawn_dataset.test_labels[::-1])

    plain, other = explore_drawings(), explore_quickly(changed)

    assert plain.figures["standardisation"]["images"] == 160
    assert other.figures["standardisation"] == plain.figures["standardisation"]
    assert other.figures["parts"]["test"]["mean"] != plain.figures["parts"]["test"]["mean"]
    assert other.figures["label_errors"] == plain.figures["label_errors"]
    assert other.figures["duplicates"] != plain.figures["duplicates"]


def test_a_copy_across_the_parts_is_counted_once_with_what_its_labels_say(noisy_dataset):
    labels = noisy_dataset.test_labels.copy()
    labels[0] = GARMENTS.index("Bag")
    exploration = explore_quickly(replace(noisy_dataset, test_labels=labels))

    assert exploration.pairs.within(0.0).indices.tolist() == [[0, 200]]
    exact = exploration.figures["duplicates"]["exact"]
    assert exact == {
        "pairs": 1, "within_train": 0, "within_test": 0, "across": 1, "pictures": 2,
        "test_pictures_with_a_training_partner": 1, "garments_disagree": 1, "groups_disagree": 1,
    }  # fmt: skip


def test_the_same_seed_gives_the_same_figures_and_progress_reaches_its_end(drawn_dataset):
    seen = []

    first = explore_quickly(drawn_dataset, progress=lambda done, total, note: seen.append((note, done, total))).figures
    second = explore_drawings().figures

    assert {**first, "seconds": 0} == {**second, "seconds": 0}
    assert seen[0] == ("duplicates", 1, 1)
    assert seen[-1] == ("label errors", 10, 10)


def test_confused_pairs_count_both_directions_most_first():
    confusion = np.diag(np.full(10, 90))
    confusion[0, 6], confusion[6, 0], confusion[3, 4] = 6, 4, 2

    assert list_confused_pairs(confusion) == [
        {"garments": ["T-shirt/top", "Shirt"], "mistakes": 10, "share": 0.0526, "same_group": True},
        {"garments": ["Dress", "Coat"], "mistakes": 2, "share": 0.011, "same_group": False},
    ]


def test_every_section_has_text_and_a_table_and_names_files_that_exist():
    report, files = report_drawings()
    sections, sheets = report["sections"], report["sheets"]

    assert [section["id"] for section in sections] == [
        "pictures", "garments", "groups", "means", "medians", "duplicates", "confusions", "label-errors",
    ]  # fmt: skip
    for section in sections:
        assert section["text"]
        table = section["blocks"][0]["table"]
        assert all(len(row) == len(table["columns"]) for row in table["rows"])
    plots = [block["plot"] for section in sections for block in section["blocks"] if "plot" in block]
    named = {plot[theme] for plot in plots for theme in ("light", "dark")}
    assert len(named) == 14
    assert named | set(sheets) == set(files)
    for name, size in sheets.items():
        assert Image.open(io.BytesIO(files[name])).size == (size["width"], size["height"])
    assert all(files[name].startswith(b"<?xml") for name in named)


def test_a_plot_says_the_data_set_and_how_many():
    _, files = report_drawings()

    assert b"Fashion-MNIST, n = 200 + 40" in files["pixel-mean-light.svg"]
    assert b"mean pixel value (0 to 255)" in files["pixel-mean-dark.svg"]
    assert b"#eceae6" in files["pixel-mean-dark.svg"]
    assert b"#eceae6" not in files["pixel-mean-light.svg"]


def test_plots_of_nothing_are_drawn():
    counts = {"pairs": np.zeros(2, dtype=np.int64)}

    histogram = plot_histogram(
        counts, edges=np.array([0.0, 0.5, 1.0]), marker=(0.5, "here"), title="Pairs", axes_labels=("d", "n")
    )
    matrix = plot_matrix(
        np.eye(2, dtype=np.int64), names=("a", "b"), title="Answers", axes_labels=("predicted", "given")
    )

    assert b"here" in histogram["light"]
    assert matrix["dark"].count(b">100</text>") == 2


def test_the_colour_of_a_cell_is_its_share_whatever_the_others_are() -> None:
    counts = np.array([[92, 8], [0, 100]])

    for document in plot_matrix(counts, names=("a", "b"), title="Answers", axes_labels=("said", "true")).values():
        cells = document[document.index(b'id="QuadMesh_1"') :]
        mostly, hardly, never, always = re.findall(rb"fill: (#[0-9a-f]{6})", cells)[:4]
        assert len({mostly, hardly, never, always}) == 4
        # 8 % are near to nothing, and 92 % to all.
        steps = [_distance(a, b) for a, b in ((never, hardly), (hardly, mostly), (mostly, always))]
        assert steps[1] > 5 * max(steps[0], steps[2])


def _distance(first: bytes, second: bytes) -> int:
    return sum(
        abs(a - b) for a, b in zip(*(bytes.fromhex(colour.decode()[1:]) for colour in (first, second)), strict=True)
    )

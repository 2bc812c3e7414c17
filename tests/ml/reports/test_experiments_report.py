"""The report on stored records: the same from the same records, with every figure of them."""

import re

import pytest

from classifier.ml.judging.published import PUBLISHED, is_reached
from classifier.ml.judging.shares import measure_share
from classifier.ml.reports.experiments_report import build_sections
from classifier.ml.reports.sections import write_markdown
from classifier.ml.words import write_fraction
from tests.support.measuring import measure_drawings

COLUMN = "MobileNetV2, frozen"
TRIED = [("a | b", "worse")]


def read_table(markdown: str, title: str) -> list[list[str]]:
    """The cells of the first table below a heading, without its rule."""
    rows = re.search(rf"### {title}\n.*?\n((?:\|[^\n]*\n)+)", markdown, re.DOTALL).group(1).splitlines()
    return [[cell.strip() for cell in re.split(r"(?<!\\)\|", row)[1:-1]] for row in (rows[0], *rows[2:])]


@pytest.fixture
def markdown() -> str:
    """The report on two recipes, of which the second answers a published column."""
    records = [measure_drawings("default").record, measure_drawings("frozen", published_column=COLUMN).record]
    return write_markdown("# Experiments", build_sections(records, tried=TRIED), folder="experiments")


def test_the_same_records_make_the_same_report(markdown: str) -> None:
    records = [measure_drawings("default").record, measure_drawings("frozen", published_column=COLUMN).record]

    assert write_markdown("# Experiments", build_sections(records, tried=TRIED), folder="experiments") == markdown


def test_there_is_one_section_for_each_recipe_between_summary_and_what_was_tried(markdown: str) -> None:
    assert re.findall(r"(?m)^## (.*)$", markdown) == [
        "All recipes", "Recipe default", "Recipe frozen", "What else was tried",
    ]  # fmt: skip
    assert re.findall(r"(?m)^### (.*)$", markdown)[3:10] == [
        "Against the published results", "Confusion over groups", "Confusion over garments", "Reliability",
        "Risk against coverage", "While training", "The most confident mistakes",
    ]  # fmt: skip
    assert "| a \\| b | worse |" in markdown


def test_the_summary_sets_costs_beside_the_published_ones(markdown: str) -> None:
    costs = read_table(markdown, "What it costs")

    record = measure_drawings("default").record["costs"]
    assert costs[1][0:4] == ["default", f"{record['parameters']:,}", f"{record['artefact_bytes'] / 1e6:.1f}", "0.00"]
    assert costs[1][5:] == ["100", "190", "1.5"]
    assert costs[3] == ["published: MobileNetV2, frozen", "2,230,277", "8.8", "37.6", "266", "-", "-", "-"]
    assert costs[4] == ["published: MobileNetV2, frozen, augmented", *["-"] * 7]


def test_the_gap_between_training_and_test_is_shown(markdown: str) -> None:
    test = measure_drawings("default").record["accuracy"]["test"]

    row = read_table(markdown, "Training against validation and test")[1]

    # Of 6,000 pictures of training, as many of validation, and 40 of the test.
    assert [cell.partition(" ")[0] for cell in row] == [
        "default", "0.7500", "0.7500", f"{test['accuracy']:.4f}", f"{100 * (0.75 - test['accuracy']):+.2f}",
        "0.5000", "0.5000", f"{test['garment_accuracy']:.4f}",
    ]  # fmt: skip
    assert row[1] == row[2] == write_fraction(measure_share(4500, of=6000).to_json())
    assert row[3] == write_fraction(measure_share(40 * test["accuracy"], of=40).to_json())


def test_published_cells_above_ours_are_counted_for_all_columns_and_the_own(markdown: str) -> None:
    rows = read_table(markdown, "How good")
    higher = measure_drawings("frozen", published_column=COLUMN).record["higher_cells"]

    assert rows[1][1] == rows[1][8] == "-"
    assert rows[2][1] == COLUMN
    assert rows[2][6:] == [
        str(higher["argmax"]["all"]), str(higher["balanced"]["all"]),
        f"{higher['argmax']['own']} / {higher['balanced']['own']}",
    ]  # fmt: skip


def test_ours_is_bold_where_it_is_not_below_what_the_recipe_answers(markdown: str) -> None:
    frozen = markdown[markdown.index("## Recipe frozen") :]
    record = measure_drawings("frozen", published_column=COLUMN).record

    rows = read_table(frozen, "Against the published results")

    assert rows[0] == ["Group", "Figure", "Ours, argmax", "Ours, balanced", *PUBLISHED]
    assert len(rows) == 16
    ours = record["metrics"]["operating_points"]["argmax"]["One piece"]["precision"]
    row = next(row for row in rows if row[:2] == ["One piece", "Precision"])
    written = f"{ours:.3f}"
    assert row[2] == (f"**{written}**" if is_reached(0.73, ours=ours) else written)
    assert row[4:] == ["0.73", "0.67", "0.86", "0.81"]
    assert {cell.startswith("**") for row in rows[1:] for cell in row[2:4]} == {True, False}


def test_without_a_column_of_its_own_a_recipe_is_compared_with_the_best() -> None:
    sections = build_sections([measure_drawings("default").record], tried=[])

    part = sections[1]["blocks"][0]
    assert part["text"] == ["Bold: ours, rounded to two decimals, is not below the best of the four columns."]
    assert [section["id"] for section in sections] == ["summary", "default"]


def test_every_plot_and_sheet_is_linked_once(markdown: str) -> None:
    links = re.findall(r"\]\(experiments/([a-z-]+\.(?:svg|png))\)", markdown)

    expected = {name for name in measure_drawings("default").files if "dark" not in name}
    assert {name for name in links if name.startswith("default-")} == expected
    assert len(links) == len(set(links)) == 2 * len(expected)


def test_a_long_history_is_thinned_and_keeps_the_best_and_the_last_epoch(markdown: str) -> None:
    rows = read_table(markdown, "While training")[1:]

    assert len(rows) <= 21
    assert rows[0][0] == "1"
    assert "38, kept" in [row[0] for row in rows]
    assert rows[-1][0] == "40"


def test_the_losses_of_a_table_are_one_sum(markdown: str) -> None:
    record = measure_drawings("default").record
    older = [{name: row[name] for name in row if name != "validation_garment_loss"} for row in record["history"]]

    sections = build_sections([record | {"history": older}], tried=[])

    columns = read_table(write_markdown("# Experiments", sections, folder="experiments"), "While training")[0]
    assert columns == ["Epoch", "Validation loss, garments alone", "Accuracy, groups", "Accuracy, garments"]
    assert read_table(markdown, "While training")[0][1:3] == ["Training loss", "Validation loss"]


def test_what_an_older_record_does_not_know_is_a_dash() -> None:
    record = measure_drawings("default").record
    older = record | {
        "costs": record["costs"] | {"training_cpu_seconds": None, "training_peak_memory_bytes": None},
        "accuracy": record["accuracy"] | {"train": None, "validation": None},
        "history": [],
        "mistakes": [],
    }

    markdown = write_markdown("# Experiments", build_sections([older], tried=[]), folder="experiments")

    assert read_table(markdown, "What it costs")[1][5:] == ["100", "-", "-"]
    assert read_table(markdown, "Training against validation and test")[1][1:5:3] == ["-", "-"]
    assert "### While training" not in markdown
    assert markdown.endswith("the surest first.\n\nNone.\n")


def test_without_a_record_there_is_no_section() -> None:
    assert build_sections([], tried=TRIED) == []

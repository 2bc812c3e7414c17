"""The catalogue's benchmark on a small catalogue, with real servers: what it reports, not how fast it is."""

from pathlib import Path

import pytest

from benchmarks.catalogue import Figure
from benchmarks.catalogue_requests import percentile
from benchmarks.catalogue_rows import RARE_WORD, UNKNOWN_WORD, write_catalogue
from catalog.interchange.reading import read_records
from tests.benchmarks.running import read_report, run_benchmark

pytestmark = pytest.mark.long


@pytest.mark.postgresql
@pytest.mark.timeout(600)
def test_every_figure_is_measured_on_a_small_catalogue() -> None:
    report = read_report("catalogue", "--products", "2000", "--load-seconds", "0", "--most-requests", "3")

    figures = {figure["name"]: figure for figure in report["figures"]}
    assert report["products"] == 2_000
    assert {(figure["floor"], figure["goal"]) for figure in figures.values()} == {
        (0.5, 0.7),
        (1.1, 1.0),
        (150, 40),
        (1.5, 1.1),
        (5, 3),
        (500, 150),
        (60, 15),
        (200, 80),
    }
    assert all(figure["measured"] > 0 for figure in figures.values())
    imported = figures["import from JSON Lines, against COPY of the same rows"]
    assert imported["detail"].endswith(f"{2_000 * (1 + 2 + 2 + 3 + 1 + 1):,} rows")
    assert figures["the listing query over all rows, ORM against SQL"]["detail"].endswith("2,000 rows")
    assert figures["page 40 against page 1"]["unit"] == "times"


def test_too_small_a_catalogue_is_bad_usage() -> None:
    result = run_benchmark("catalogue", "--products", "10")

    assert result.returncode == 2
    assert "expected at least 2,000 products, received 10" in result.stderr


def test_the_file_is_the_same_every_time_and_every_row_is_accepted(tmp_path: Path) -> None:
    first, second = tmp_path / "first.jsonl", tmp_path / "second.jsonl"
    write_catalogue(first, products=1_010)
    write_catalogue(second, products=1_010)
    with first.open("rb") as stream:
        records = list(read_records(stream, format="jsonl"))

    assert first.read_bytes() == second.read_bytes()
    assert [record.id for record in records] == list(range(1, 1_011))
    assert {(len(record.images), len(record.descriptions)) for record in records} == {(2, 3)}
    assert [record.id for record in records if RARE_WORD in record.title] == [7, 1_007]
    assert UNKNOWN_WORD not in first.read_text()


@pytest.mark.parametrize(
    "more_is_better, measured, reached",
    [
        (True, 0.5, "goal"),
        (True, 0.3, "floor"),
        (True, 0.1, "missed"),
        (False, 0.1, "goal"),
        (False, 0.2, "floor"),
        (False, 0.3, "missed"),
    ],
)
def test_a_figure_says_which_bound_it_keeps(more_is_better: bool, measured: float, reached: str) -> None:
    floor, goal = (0.2, 0.5) if more_is_better else (0.2, 0.1)

    assert Figure("any", measured, floor=floor, goal=goal, more_is_better=more_is_better).reached == reached


def test_a_percentile_is_one_of_the_values() -> None:
    values = [float(number) for number in range(100, 0, -1)]

    assert [percentile(values, share) for share in (0.0, 0.5, 0.95, 0.99, 1.0)] == [1.0, 50.0, 95.0, 99.0, 100.0]
    assert percentile([7.0], 0.95) == 7.0

"""The ledger's benchmark on two small ledgers: what it reports, not how fast it is."""

import pytest

from tests.benchmarks.running import read_report, run_benchmark

pytestmark = pytest.mark.long


@pytest.mark.postgresql
def test_both_ledgers_label_as_many_pictures_and_the_ratio_is_that_of_their_times() -> None:
    options = ("--small", "1000", "--large", "2000", "--labels", "64", "--watch-seconds", "1")
    report = read_report("ledger", *options)
    assert [(row["rows"], row["labels"]) for row in report["ledgers"]] == [(1000, 64), (2000, 64)]
    small, large = (row["milliseconds_a_label"] for row in report["ledgers"])
    assert report["ratio"] == pytest.approx(large / small)
    assert (report["watching"]["ledger_rows"], report["watching"]["looks"]) == (2000, 1)
    assert report["watching"]["tasks"] == 1000


def test_a_ledger_with_too_few_waiting_pictures_is_bad_usage() -> None:
    result = run_benchmark("ledger", "--small", "100")
    assert result.returncode == 2
    assert "received --small 100" in result.stderr

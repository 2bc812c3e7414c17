"""The benchmark of the history of labels on a small catalogue: what it reports, not how fast it is."""

import pytest

from tests.benchmarks.running import read_report

pytestmark = pytest.mark.long


@pytest.mark.postgresql
def test_every_kind_of_answer_is_asked_for() -> None:
    report = read_report("history", "--products", "300", "--changes", "1500", "--requests", "2")
    assert {"products as of", "product as of", "changes"} <= set(report["milliseconds"])
    assert report["milliseconds"].keys() >= report["limits"].keys()
    assert all(row["percentile_95"] >= row["median"] > 0 for row in report["milliseconds"].values())

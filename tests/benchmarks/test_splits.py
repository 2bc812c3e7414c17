"""The benchmark of families on a few pictures: that it finds them, not how fast."""

import pytest

from tests.benchmarks.running import read_report

pytestmark = pytest.mark.long


@pytest.mark.postgresql
@pytest.mark.timeout(600)
def test_families_are_found() -> None:
    report = read_report("splits", "--pictures", "500", "--rounds", "5")
    assert (report["pictures"], report["rounds"], report["found"]) == (500, 5, 5)
    assert report["p95_milliseconds"] >= report["median_milliseconds"] > 0

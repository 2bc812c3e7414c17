"""The benchmark of drift checks on a few pictures: that those that were moved are found, not how fast."""

import pytest

from tests.benchmarks.running import read_report

pytestmark = pytest.mark.long


@pytest.mark.postgresql
@pytest.mark.timeout(600)
def test_moved_pictures_are_found() -> None:
    report = read_report("drift", "--pictures", "4000", "--rounds", "1")
    assert (report["pictures"], report["rounds"], report["found"]) == (4_000, 1, 1)
    assert report["newest_seconds"] > 0

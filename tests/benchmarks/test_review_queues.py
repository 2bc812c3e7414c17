"""The benchmark of the queues of reviews on a small catalogue: what it reports, not how fast it is."""

import pytest

from tests.benchmarks.running import read_report

pytestmark = pytest.mark.long


@pytest.mark.postgresql
def test_every_queue_gives_pages_whose_tiles_are_reviewed() -> None:
    report = read_report("review_queues", "--products", "300", "--pages", "1")
    assert set(report["queues"]) == {"unsure", "suspicious", "audit", "second_look"}
    # Of two pages of every queue half the tiles were there to be reviewed; at first nothing is suspicious.
    assert report["reviews"] >= 96
    assert report["sample"] == 300

"""The benchmark of an adoption on a small catalogue: what it reports, not how fast it is."""

import pytest

from tests.benchmarks.running import read_report

pytestmark = pytest.mark.long


@pytest.mark.postgresql
def test_going_back_gives_every_label_back_without_inference() -> None:
    report = read_report("adoption", "--products", "300", "--visits-per-second", "4")
    assert (report["products"], report["changed"], report["missing"]) == (300, 300, 0)
    assert (report["labels_unlike_the_version"], report["inference_calls"]) == (0, 0)
    assert report["site_answers"] >= 20
    assert report["site_percentile_99_milliseconds"] >= report["site_median_milliseconds"] > 0

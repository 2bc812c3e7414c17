"""The benchmark of a version with other heads on a small catalogue: what it reports, not how fast it is."""

import pytest

from tests.benchmarks.running import read_report

pytestmark = pytest.mark.long


@pytest.mark.postgresql
def test_every_picture_is_labelled_from_its_features() -> None:
    report = read_report("heads", "--products", "300")
    assert (report["products"], report["labelled_from_features"], report["new_tasks"]) == (300, 300, 0)
    assert (report["labels_unlike_the_version"], report["changes"]) == (0, 300)

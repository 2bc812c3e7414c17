"""A small run of the proof that many who change stages at once break nothing."""

from typing import Any

import pytest

from classifier.adoption import services
from tests.classifier.adoption.registry_operations import Report, run_operations

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.both_databases]


def test_random_changes_of_stages_at_once_break_nothing(settings: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    settings.APPROVALS = "two"
    # The run puts its own in their place.
    monkeypatch.setattr(services, "verify_version", services.verify_version)
    monkeypatch.setattr(services, "send_adoption_runs", services.send_adoption_runs)
    report = Report(operations=400, threads=8, seed=1, database="")
    run_operations(report)
    assert report.is_clean(), report
    assert report.outcomes["ask: done"] > 10
    assert report.outcomes["decide: done"] > 5
    assert report.forgeries_tried > 10

"""The short form of the fault run, and what the same kills do without the ledger."""

import pytest

from tests.faults.chaos import ChaosPlan, ChaosRun, LedgerlessRun, create_pictures
from tests.faults.workers import Crew
from tests.support.faulty_store import FAULTS
from tests.support.servers import Server

pytestmark = [pytest.mark.postgresql, pytest.mark.redis, pytest.mark.timeout(900), pytest.mark.processes]
LABELS, KILLS = 2000, 10
# Far more than it takes, for a machine that is busy with something else.
PATIENCE_SECONDS = 800.0


def test_ten_kills_and_the_loss_of_broker_database_and_store_cost_no_label_and_blame_nobody(
    crew_of_own_database: Crew, own_database: Server, broker: Server
) -> None:
    create_pictures(LABELS)
    plan = ChaosPlan(labels=LABELS, kills=KILLS, patience_seconds=PATIENCE_SECONDS)
    report = ChaosRun(plan, crew=crew_of_own_database, broker=broker, database=own_database).execute()
    assert report.is_clean(), report.to_text()
    assert report.kills == KILLS
    # The harm was done in the middle of the work, or this test would show nothing.
    assert report.kills_with_work_in_hand >= KILLS // 4
    assert len(report.faults) == 3 + len(FAULTS)
    assert report.deleted > 0
    assert report.reviews > 50


def test_the_same_kills_without_the_ledger_lose_or_double_labels(
    crew_of_own_database: Crew, own_database: Server, broker: Server
) -> None:
    create_pictures(LABELS // 8)
    plan = ChaosPlan(labels=LABELS // 8, kills=KILLS // 2, patience_seconds=PATIENCE_SECONDS)
    report = LedgerlessRun(plan, crew=crew_of_own_database, broker=broker, database=None).execute()
    assert report.kills >= KILLS // 4
    assert report.lost + report.doubled > 0, report.to_text()

"""The rolling upgrade in small: nobody notices it, and the program would notice if somebody did."""

import threading
import time
from pathlib import Path

import pytest

from tests.site.old_code import BASE
from tests.site.rolling_upgrade import Balancer, Report, upgrade

pytestmark = [pytest.mark.processes, pytest.mark.long]


@pytest.mark.postgresql
@pytest.mark.redis
@pytest.mark.timeout(900)
def test_processes_of_an_earlier_commit_are_replaced_and_come_back_under_load(
    earlier_tree: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("TEST_POSTGRESQL_TEMPLATE", raising=False)
    report = upgrade(base=BASE, per_second=4, pictures=96, seed=1, forks_of=earlier_tree)
    assert report.is_clean(), report
    assert report.requests > 20
    assert report.reviews > 0
    assert report.labelled_again == 32


def test_a_report_is_clean_only_if_nothing_failed_and_nothing_is_lost() -> None:
    assert Report("base", 1, finished=True).is_clean()
    assert not Report("base", 1).is_clean()
    for harm in (
        {"failed_requests": ["GET /: 502"]},
        {"lost": 1},
        {"doubled": 1},
        {"failed_tasks": 1},
        {"lost_reviews": 1},
    ):
        assert not Report("base", 1, finished=True, **harm).is_clean()


def test_a_site_that_is_about_to_stop_gets_no_requests_and_answers_those_it_has() -> None:
    balancer = Balancer()
    balancer.add(1)
    balancer.add(2)
    answered = threading.Event()

    def ask() -> None:
        with balancer.choose() as port:
            assert port == 1
            answered.wait(10)

    asking = threading.Thread(target=ask)
    asking.start()
    time.sleep(0.1)
    removal = threading.Thread(target=balancer.remove, args=[1])
    removal.start()
    time.sleep(0.1)
    assert removal.is_alive()
    for _ in range(3):
        with balancer.choose() as port:
            assert port == 2
    answered.set()
    removal.join(10)
    assert not removal.is_alive()
    asking.join(10)

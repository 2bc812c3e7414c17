"""The workers' own rounds: when one begins, how it goes on, and what stops it for a while."""

from datetime import timedelta
from typing import Any

import pytest
from django.db.models import F

from catalog.models import Image
from catalog.pictures.storage import StorageError
from classifier.cleaning import tasks
from classifier.cleaning.tasks import clean_task, do_next_step, send_cleaning_runs
from classifier.models import CleaningRun
from tests.support.cleaning import create_shown, let_pass, take_products_away
from tests.support.fakes import Outbox

pytestmark = [pytest.mark.django_db, pytest.mark.both_databases]


@pytest.fixture(autouse=True)
def outbox(settings: Any, monkeypatch: pytest.MonkeyPatch) -> Outbox:
    """Rounds are due once a day; what is sent, instead of the broker."""
    settings.CLEAN_EVERY_HOURS = 24.0
    outbox = Outbox()
    monkeypatch.setattr(tasks.clean_task, "apply_async", outbox.apply_async)
    monkeypatch.setattr("classifier.runs.sending.find_room", lambda _queue: 1)
    return outbox


def pass_hours(hours: float) -> None:
    CleaningRun.objects.update(created_at=F("created_at") - timedelta(hours=hours))


def test_a_round_does_what_the_command_does_once_a_day(outbox: Outbox, settings: Any) -> None:
    settings.CLEAN_OLDER_THAN_DAYS = 2.0
    create_shown()
    take_products_away()
    assert (send_cleaning_runs(), send_cleaning_runs()) == (1, 0)
    run = CleaningRun.objects.get()
    assert outbox == [run.pk]
    clean_task(run.pk)
    run.refresh_from_db()
    assert (run.state, run.figures["unshown"], run.figures["images"]) == ("done", 1, 0)
    pass_hours(23.9)
    assert send_cleaning_runs() == 0
    pass_hours(0.2)
    let_pass(2.1)
    assert send_cleaning_runs() == 1
    clean_task(outbox[-1])
    figures = CleaningRun.objects.first().figures
    assert (figures["images"], figures["files"], Image.objects.count()) == (1, 2, 0)


def test_nothing_begins_where_it_is_switched_off(settings: Any) -> None:
    settings.CLEAN_EVERY_HOURS = 0.0
    assert send_cleaning_runs() == 0
    assert not CleaningRun.objects.exists()


def test_a_round_whose_worker_died_goes_on_where_it_was(outbox: Outbox) -> None:
    send_cleaning_runs()
    run = CleaningRun.objects.get()
    for _ in range(4):
        assert do_next_step(run.pk)
    run.refresh_from_db()
    assert (run.phase, run.after) == ("files", 256)
    pass_hours(48)
    assert send_cleaning_runs() == 0
    CleaningRun.objects.update(sent_at=F("sent_at") - timedelta(minutes=5))
    assert send_cleaning_runs() == 1
    assert outbox == [run.pk] * 2
    clean_task(run.pk)
    assert CleaningRun.objects.get().state == "done"


def test_the_slower_of_two_in_one_round_takes_nothing_back(monkeypatch: pytest.MonkeyPatch) -> None:
    run = CleaningRun.objects.create()

    def finish_meanwhile(phase: str, *_: object) -> tuple[str, int]:
        CleaningRun.objects.update(phase="files", after=9, state="done")
        return phase, 1

    monkeypatch.setattr("classifier.cleaning.tasks.clean_next", finish_meanwhile)
    assert do_next_step(run.pk) is False
    run.refresh_from_db()
    assert (run.phase, run.after, run.state) == ("files", 9, "done")


def test_a_round_waits_for_a_storage_that_is_away(monkeypatch: pytest.MonkeyPatch, caplog: Any) -> None:
    send_cleaning_runs()
    run = CleaningRun.objects.get()

    def fail(*_arguments: Any) -> None:
        raise StorageError("the media storage failed: away")

    with monkeypatch.context() as broken:
        broken.setattr(tasks, "clean_next", fail)
        clean_task(run.pk)
    assert "cleaning is put off: the media storage failed: away" in caplog.text
    run.refresh_from_db()
    assert (run.state, run.phase) == ("running", "images")
    clean_task(run.pk)
    run.refresh_from_db()
    assert run.state == "done"

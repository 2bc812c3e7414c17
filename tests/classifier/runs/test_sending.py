"""Runs on the queue: sent once, sent again when their message is lost, and never more than there is room for."""

from datetime import timedelta
from typing import Any

import pytest
from django.utils import timezone
from kombu.exceptions import OperationalError

from classifier.models import ReviewRun
from classifier.runs import sending
from classifier.runs.sending import carry_on, find_room, send_runs
from tests.support.fakes import Outbox
from tests.support.members import create_member

pytestmark = pytest.mark.django_db


class AwayOutbox:
    """A task whose broker cannot be reached."""

    def apply_async(self, *_arguments: object, **_options: object) -> None:
        raise OperationalError("connection refused")


def create_runs(number: int) -> list[int]:
    """Create runs of reviews that wait, and return their ids."""
    reviewer = create_member("add_review")
    return [ReviewRun.objects.create(group="Bags", requested_by=reviewer).pk for _ in range(number)]


def send(outbox: Any, *, room: int | None = 10) -> int:
    return send_runs(ReviewRun.objects.filter(state="running"), task=outbox, room=room)


@pytest.mark.parametrize("room, sent", [(-1, 0), (0, 0), (1, 1), (2, 2), (9, 3)])
def test_runs_are_sent_in_their_order_as_far_as_there_is_room(room: int, sent: int) -> None:
    ids, outbox = create_runs(3), Outbox()
    assert send(outbox, room=room) == sent
    assert outbox == ids[:sent]
    assert ReviewRun.objects.filter(sent_at=None).count() == 3 - sent


def test_a_message_is_sent_again_only_when_it_counts_as_lost(settings: Any) -> None:
    ids, outbox = create_runs(2), Outbox()
    assert [send(outbox), send(outbox)] == [2, 0]
    lost = timezone.now() - timedelta(seconds=settings.LABELLING_RESEND_SECONDS + 1)
    ReviewRun.objects.filter(pk=ids[1]).update(sent_at=lost)
    assert send(outbox) == 1
    assert outbox == [*ids, ids[1]]


def test_a_run_whose_message_a_broker_refused_waits_for_the_sweep(settings: Any) -> None:
    ids, outbox = create_runs(1), Outbox()
    send(AwayOutbox())
    settings.LABELLING_RESEND_SECONDS = 0
    send(outbox)
    assert outbox == ids


@pytest.mark.parametrize("on_queue, room", [(0, 32), (31, 1), (32, 0), (40, -8)])
def test_there_is_room_for_twice_as_many_messages_as_labelling_keeps(
    monkeypatch: pytest.MonkeyPatch, settings: Any, on_queue: int, room: int
) -> None:
    settings.LABELLING_QUEUE_BATCHES = 16
    monkeypatch.setattr(sending, "count_messages", lambda _queue: on_queue)
    assert find_room() == room


def test_there_is_no_room_where_the_broker_cannot_be_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(_queue: str) -> int:
        raise OperationalError("connection refused")

    monkeypatch.setattr(sending, "count_messages", refuse)
    assert find_room() == 0


def test_the_broker_is_asked_only_where_something_is_to_be_sent(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[str] = []
    monkeypatch.setattr(sending, "count_messages", lambda queue: asked.append(queue) or 0)
    outbox = Outbox()
    assert (send(outbox, room=None), asked) == (0, [])
    ids = create_runs(1)
    assert [send(outbox, room=None) for _ in range(2)] == [1, 0]
    assert (outbox, asked) == (ids, [ReviewRun.queue])


@pytest.mark.parametrize("seconds, more, done", [(60, False, 3), (0, True, 1)])
def test_steps_are_done_until_there_is_none_or_the_time_is_over_and_the_rest_is_sent(
    monkeypatch: pytest.MonkeyPatch, seconds: float, more: bool, done: int
) -> None:
    monkeypatch.setattr(sending, "AT_ONCE_SECONDS", seconds)
    calls, outbox = [], Outbox()

    def step(run_id: int) -> bool:
        calls.append(run_id)
        return len(calls) < 3

    assert carry_on(7, step=step, task=outbox) is more
    assert (calls, outbox) == ([7] * done, [7] * more)

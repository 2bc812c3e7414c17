"""Runs on the queue: sent once, sent again when their message is lost, and never more than there is room for."""

from datetime import timedelta
from typing import Any

import pytest
from django.utils import timezone
from kombu.exceptions import OperationalError

from classifier.models import ReviewRun
from classifier.runs import sending
from classifier.runs.sending import find_room, send_runs
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


def send(outbox: Any, *, room: int = 10) -> int:
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

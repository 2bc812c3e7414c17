"""Canaries: messages that workers send through their own queues, to see that they come back.

A worker whose connection to the broker has gone dumb answers every other question; only a message that went the whole
way says that work sent to the queue is taken up.
"""

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime, timedelta

from django.conf import settings
from django.db.models import F, Q
from django.db.models.functions import Coalesce, Now

from classifier.models import QueueCanary, TrainingRun

TRAINING_QUEUE = "training"


@dataclass(frozen=True, slots=True)
class QueueHealth:
    """A queue that workers serve or served: when a canary last came back, and whether that is long ago."""

    queue: str
    done_at: datetime | None
    stale: bool


def take_canaries_to_send(queues: Collection[str]) -> list[str]:
    """Mark those of the queues as sent that are due for a canary, and return them.

    That is CANARY_SECONDS after the one before was sent, if it came back, and CANARY_STALE_SECONDS after it if not.
    Any number of workers may ask; each canary is sent by one of them.
    """
    due = []
    for queue in queues:
        QueueCanary.objects.get_or_create(queue=queue)
        returned = Q(done_at__gte=F("sent_at"), sent_at__lte=Now() - timedelta(seconds=settings.CANARY_SECONDS))
        lost = Q(sent_at__lte=Now() - timedelta(seconds=settings.CANARY_STALE_SECONDS))
        ready = QueueCanary.objects.filter(returned | lost | Q(sent_at__isnull=True), queue=queue)
        if ready.update(sent_at=Now()):
            due.append(queue)
    return due


def record_canary(queue: str) -> None:
    """Write down that a canary came back through the queue."""
    QueueCanary.objects.filter(queue=queue).update(done_at=Now())


def list_queue_health() -> list[QueueHealth]:
    """Return the health of every queue that a worker ever served, by name; in three queries at most.

    The training queue is well while a training with a heartbeat occupies its worker.
    """
    stale = Q(last__lt=Now() - timedelta(seconds=settings.CANARY_STALE_SECONDS))
    canaries = QueueCanary.objects.annotate(last=Coalesce("done_at", "created_at")).order_by("queue")
    late = set(canaries.filter(stale).values_list("queue", flat=True))
    if TRAINING_QUEUE in late and _is_training():
        late.remove(TRAINING_QUEUE)
    return [QueueHealth(row.queue, row.done_at, row.queue in late) for row in canaries]


def _is_training() -> bool:
    alive = Now() - timedelta(seconds=settings.TRAINING_HEARTBEAT_SECONDS)
    return TrainingRun.objects.filter(state=TrainingRun.State.RUNNING, heartbeat_at__gte=alive).exists()

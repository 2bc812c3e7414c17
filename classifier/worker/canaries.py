"""Canaries: messages that workers send through their own queues, to see that they come back.

A worker whose connection to the broker has gone dumb answers every other question; only a message that went the whole
way says that work sent to the queue is taken up. Who asks whether they do is `classifier.runs.workers`.
"""

from collections.abc import Collection
from datetime import timedelta

from django.conf import settings
from django.db.models import F, Q
from django.db.models.functions import Now

from classifier.models import QueueCanary


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

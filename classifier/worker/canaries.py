"""Canaries: messages that workers send through their own queues, to see that they come back.

A worker whose connection to the broker has gone dumb answers every other question; only a message that went the whole
way says that work sent to the queue is taken up. Who asks whether they do is `classifier.runs.workers`.
"""

import logging
from collections.abc import Collection
from datetime import timedelta

from celery import shared_task
from django.conf import settings
from django.db.models import F, Q
from django.db.models.functions import Now

from classifier.models import QueueCanary
from config.queues import broker_errors

logger = logging.getLogger(__name__)


@shared_task(name="classifier.tasks.canary_task")
def canary_task(queue: str, **_later: object) -> None:
    """Write down that a message came through the queue."""
    QueueCanary.objects.filter(queue=queue).update(done_at=Now())


def send_canaries(queues: Collection[str]) -> int:
    """Send a canary through each of these queues that is due for one; return how many.

    None expires: workers would judge that by clocks of their own. Where nobody takes them there is one more each
    CANARY_STALE_SECONDS.
    """
    due = take_canaries_to_send(queues)
    try:
        for queue in due:
            canary_task.apply_async((queue,), queue=queue, retry=False)
    except broker_errors() as error:
        logger.warning("broker not reachable (%s); no canary was sent", error)
    return len(due)


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

"""The canaries' task."""

import logging
from collections.abc import Collection

from celery import shared_task
from django.conf import settings

from classifier.worker import canaries
from config.queues import broker_errors

logger = logging.getLogger(__name__)


@shared_task(name="classifier.tasks.canary_task")
def canary_task(queue: str, **_later: object) -> None:
    """Write down that a message came through the queue."""
    canaries.record_canary(queue)


def send_canaries(queues: Collection[str]) -> int:
    """Send a canary through each of these queues that is due for one; return how many.

    One that is late is forgotten by the broker's side, so that they do not pile up where nobody takes them.
    """
    due = canaries.take_canaries_to_send(queues)
    try:
        for queue in due:
            canary_task.apply_async((queue,), queue=queue, expires=settings.CANARY_STALE_SECONDS, retry=False)
    except broker_errors() as error:
        logger.warning("broker not reachable (%s); no canary was sent", error)
    return len(due)

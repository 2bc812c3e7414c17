"""The canaries' task."""

import logging
from collections.abc import Collection

from celery import shared_task

from classifier.worker import canaries
from config.queues import broker_errors

logger = logging.getLogger(__name__)


@shared_task(name="classifier.tasks.canary_task")
def canary_task(queue: str, **_later: object) -> None:
    """Write down that a message came through the queue."""
    canaries.record_canary(queue)


def send_canaries(queues: Collection[str]) -> int:
    """Send a canary through each of these queues that is due for one; return how many.

    None expires: workers would judge that by clocks of their own. Where nobody takes them there is one more each
    CANARY_STALE_SECONDS.
    """
    due = canaries.take_canaries_to_send(queues)
    try:
        for queue in due:
            canary_task.apply_async((queue,), queue=queue, retry=False)
    except broker_errors() as error:
        logger.warning("broker not reachable (%s); no canary was sent", error)
    return len(due)

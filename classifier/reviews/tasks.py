"""Celery's side of runs of reviews."""

import logging

from celery import shared_task
from django.conf import settings

from classifier.reviews import runs as review_runs
from config.queues import broker_errors, count_messages

logger = logging.getLogger(__name__)

# After which a run of reviews lets other work on the queue go first.
REVIEWS_AT_ONCE_SECONDS = 10.0


@shared_task(
    name="classifier.tasks.record_reviews_task",
    acks_late=False,
    reject_on_worker_lost=False,
    soft_time_limit=settings.LABELLING_SOFT_LIMIT_SECONDS,
    time_limit=settings.LABELLING_HARD_LIMIT_SECONDS,
)
def record_reviews_task(review_run_id: int, **_later: object) -> None:
    """Record parts of one run of reviews, then send what is left of it."""
    if review_runs.record_parts(review_run_id, seconds=REVIEWS_AT_ONCE_SECONDS):
        _send_review_run(review_run_id)


def send_review_runs() -> int:
    """Put the runs of reviews on the queue whose message is lost or was never sent; return how many there were.

    Up to twice as many messages as labelling keeps there: so it never keeps these out, and what waits for a worker for
    days is not sent without end. A broker that is down is no error: the sweep sends them.
    """
    try:
        room = 2 * settings.LABELLING_QUEUE_BATCHES - count_messages("labelling")
    except broker_errors() as error:
        logger.warning("broker not reachable (%s); review runs wait for the sweep", error)
        return 0
    run_ids = review_runs.take_review_runs_to_send(maximum=room)
    for run_id in run_ids:
        _send_review_run(run_id)
    return len(run_ids)


def _send_review_run(run_id: int) -> None:
    try:
        record_reviews_task.apply_async((run_id,), retry=False)
    except broker_errors() as error:
        logger.warning("broker not reachable (%s); review run %s waits for the sweep", error, run_id)

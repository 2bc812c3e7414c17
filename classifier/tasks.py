"""Celery's side of labelling and training: load by id, call a service, say what comes next."""

import logging
from collections.abc import Collection
from typing import Any

from celery import Task, current_app, shared_task
from django.conf import settings
from kombu.exceptions import ChannelError, OperationalError

from classifier import canaries, ledger, review_runs, training_runs
from classifier.labelling import label_batch
from classifier.run_steps import do_run_steps
from classifier.runtime import get_classifier

logger = logging.getLogger(__name__)

# After which a run of reviews lets other work on the queue go first.
REVIEWS_AT_ONCE_SECONDS = 10.0


class LabellingTask(Task):
    """A task whose batch goes back at once when the child that works on it dies."""

    Request = "classifier.lost_workers:LabellingRequest"


@shared_task(
    base=LabellingTask,
    soft_time_limit=settings.LABELLING_SOFT_LIMIT_SECONDS,
    time_limit=settings.LABELLING_HARD_LIMIT_SECONDS,
)
def label_batch_task(task_ids: list[int], **_later: object) -> None:
    """Label one batch, do a step of the runs that have some left, then put one more batch on the queue in its place."""
    label_batch(task_ids, get_classifier=get_classifier)
    do_run_steps()
    send_due_batches(maximum=1)


@shared_task(acks_late=False, reject_on_worker_lost=False)
def train_task(training_run_id: int, **_later: object) -> None:
    """Carry out one training run, then offer the next queued one."""
    training_runs.run_training(training_run_id)
    send_queued_training()


@shared_task(
    acks_late=False,
    reject_on_worker_lost=False,
    soft_time_limit=settings.LABELLING_SOFT_LIMIT_SECONDS,
    time_limit=settings.LABELLING_HARD_LIMIT_SECONDS,
)
def record_reviews_task(review_run_id: int, **_later: object) -> None:
    """Record parts of one run of reviews, then send what is left of it."""
    if review_runs.record_parts(review_run_id, seconds=REVIEWS_AT_ONCE_SECONDS):
        _send_review_run(review_run_id)


@shared_task
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


def send_due_batches(*, maximum: int) -> int:
    """Put up to `maximum` batches of due tasks on the queue, as far as there is room on it; return how many.

    The queue is kept at LABELLING_QUEUE_BATCHES messages: what was sent long ago and still lies on it is never sent
    without end. When the queue is empty, what was sent before the last sweep and not claimed since is lost, and sent
    again at once. A broker that is down is no error: the rows stay due, and the sweep sends them again.
    """
    batches: list[list[int]] = []
    try:
        on_queue = count_messages("labelling")
        room = min(maximum, settings.LABELLING_QUEUE_BATCHES - on_queue)
        lost_after = settings.LABELLING_RESEND_SECONDS if on_queue else settings.LABELLING_SWEEP_SECONDS
        batches = ledger.take_batches_to_send(maximum=room, lost_after_seconds=lost_after)
        for batch in batches:
            label_batch_task.apply_async((batch,), retry=False)
    except broker_errors() as error:
        logger.warning("broker not reachable (%s); due tasks wait for the sweep", error)
    return len(batches)


def count_messages(queue: str) -> int:
    """Return how many messages wait on the queue; those that a worker holds are not among them.

    Raises one of `broker_errors`.
    """
    connections: Any = current_app.pool  # its types speak of producers
    with connections.acquire(block=True) as broker:
        try:
            return int(broker.default_channel.queue_declare(queue, passive=True).message_count)
        except ChannelError:  # Redis knows no empty queue
            return 0


def broker_errors() -> tuple[type[BaseException], ...]:
    """Return the errors of a broker that is away, full or read-only."""
    broker = current_app.connection_for_write()
    return (OperationalError, *broker.connection_errors, *broker.channel_errors)


def send_queued_training() -> bool:
    """Put the oldest queued training run on the training queue if none is running; return whether one was."""
    training_run = training_runs.take_training_run_to_send()
    if training_run is None:
        return False
    try:
        train_task.apply_async((training_run.pk,), retry=False)
    except broker_errors() as error:
        logger.warning("broker not reachable (%s); training run %s waits for the sweep", error, training_run.pk)
    return True


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

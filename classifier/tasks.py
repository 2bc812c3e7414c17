"""Celery's side of labelling and training: load by id, call a service, say what comes next."""

import logging

from celery import shared_task
from django.conf import settings
from kombu.exceptions import OperationalError

from classifier import ledger, training_runs
from classifier.labelling import label_batch
from classifier.runtime import get_classifier

logger = logging.getLogger(__name__)


@shared_task(soft_time_limit=settings.LABELLING_SOFT_LIMIT_SECONDS, time_limit=settings.LABELLING_HARD_LIMIT_SECONDS)
def label_batch_task(task_ids: list[int], **_later: object) -> None:
    """Label one batch, then put one more batch on the queue in its place."""
    label_batch(task_ids, get_classifier=get_classifier)
    send_due_batches(maximum=1)


@shared_task(acks_late=False, reject_on_worker_lost=False)
def train_task(training_run_id: int, **_later: object) -> None:
    """Carry out one training run, then offer the next queued one."""
    training_runs.run_training(training_run_id)
    send_queued_training()


def send_due_batches(*, maximum: int) -> int:
    """Put up to `maximum` batches of due tasks on the queue; return how many.

    A broker that is down is no error: the rows stay due, and the sweep sends them again.
    """
    batches = ledger.take_batches_to_send(maximum=maximum)
    try:
        for batch in batches:
            label_batch_task.apply_async((batch,), retry=False)
    except OperationalError as error:
        logger.warning("broker not reachable (%s); %s batches wait for the sweep", error, len(batches))
    return len(batches)


def send_queued_training() -> bool:
    """Put the oldest queued training run on the training queue if none is running; return whether one was."""
    training_run = training_runs.take_training_run_to_send()
    if training_run is None:
        return False
    try:
        train_task.apply_async((training_run.pk,), retry=False)
    except OperationalError as error:
        logger.warning("broker not reachable (%s); training run %s waits for the sweep", error, training_run.pk)
    return True

"""Celery's side of trainings."""

import logging

from celery import shared_task

from classifier.training import runs as training_runs
from config.queues import broker_errors

logger = logging.getLogger(__name__)


@shared_task(name="classifier.tasks.train_task", acks_late=False, reject_on_worker_lost=False)
def train_task(training_run_id: int, **_later: object) -> None:
    """Carry out one training run, then offer the next queued one."""
    training_runs.run_training(training_run_id)
    send_queued_training()


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

"""Celery's side of labelling: load by id, call a service, say what comes next."""

import logging
import time

from celery import Task, shared_task
from django.conf import settings
from django.db.models.functions import Now

from classifier.labelling import ledger
from classifier.labelling.runs import do_run_steps, label_next_step
from classifier.models import LabellingRun
from classifier.registry.runtime import get_classifier
from classifier.runs.sending import STEPS, carry_on, send_run, send_runs
from config.queues import broker_errors, count_messages

logger = logging.getLogger(__name__)

# Between two messages of a run whose step made tasks: with an empty queue the next one is there at once.
YIELD_SECONDS = 0.1


class LabellingTask(Task):
    """A task whose batch goes back at once when the child that works on it dies."""

    Request = "classifier.labelling.lost_workers:LabellingRequest"


@shared_task(
    name="classifier.tasks.label_batch_task",
    base=LabellingTask,
    soft_time_limit=settings.LABELLING_SOFT_LIMIT_SECONDS,
    time_limit=settings.LABELLING_HARD_LIMIT_SECONDS,
)
def label_batch_task(task_ids: list[int], **_later: object) -> None:
    """Label one batch, do a step of the runs that have some left, then put one more batch on the queue in its place.

    Not after a batch that came to nothing: where nothing can be labelled the sweep's pace is enough.
    """
    # Here and not above: what fetches takes half a second and 20 MB, and the site only sends this.
    from classifier.labelling.batches import label_batch

    if label_batch(task_ids, get_classifier=get_classifier):
        do_run_steps()
        send_due_batches(maximum=1)


@shared_task(name="classifier.tasks.take_pictures_task", **STEPS)
def take_pictures_task(run_id: int, **_later: object) -> None:
    """Do steps of one run that takes its pictures while they label from features, then send what is left of it.

    After a step that made tasks, or while somebody else does one, what is on the queue goes first.
    """
    taking = LabellingRun.objects.taking().filter(pk=run_id)
    taking.update(sent_at=Now())
    if not carry_on(run_id, step=label_next_step, task=take_pictures_task) and taking.exists():
        time.sleep(YIELD_SECONDS)
        send_run(run_id, task=take_pictures_task)


def send_taking_runs() -> int:
    """Put the runs on the queue that take their pictures and whose message is lost, or was never sent."""
    return send_runs(LabellingRun.objects.taking(), task=take_pictures_task)


def send_due_batches(*, maximum: int, first_batch_size: int | None = None) -> int:
    """Put up to `maximum` batches of due tasks on the queue, as far as there is room on it; return how many.

    They are those of `ledger.take_batches_to_send`. The queue is kept at LABELLING_QUEUE_BATCHES messages: what was
    sent long ago and still lies on it is never sent without end. When the queue is empty, what was sent before the last
    sweep and not claimed since is lost, and sent again at once. A broker that is down is no error: the rows stay due,
    and the sweep sends them again.
    """
    batches: list[list[int]] = []
    try:
        on_queue = count_messages("labelling")
        room = min(maximum, settings.LABELLING_QUEUE_BATCHES - on_queue)
        lost_after = settings.LABELLING_RESEND_SECONDS if on_queue else settings.LABELLING_SWEEP_SECONDS
        batches = ledger.take_batches_to_send(
            maximum=room, lost_after_seconds=lost_after, first_batch_size=first_batch_size
        )
        for batch in batches:
            label_batch_task.apply_async((batch,), retry=False)
    except broker_errors() as error:
        logger.warning("broker not reachable (%s); due tasks wait for the sweep", error)
    return len(batches)

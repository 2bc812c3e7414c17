"""Runs on the queue: a message is a hint, and what it was lost for is sent again."""

import logging
import time
from collections.abc import Callable
from datetime import timedelta
from typing import Any, Final

from django.conf import settings
from django.db import transaction
from django.db.models import QuerySet
from django.db.models.functions import Now

from classifier.models import is_unsent
from config.queues import broker_errors, count_messages

logger = logging.getLogger(__name__)

#: After which a run lets other work on the queue go first.
AT_ONCE_SECONDS = 10.0
#: What the tasks have in common that do steps of a run. One that is lost is not given back: the sweep sends it again.
STEPS: Final[dict[str, Any]] = {
    "acks_late": False,
    "reject_on_worker_lost": False,
    "soft_time_limit": settings.LABELLING_SOFT_LIMIT_SECONDS,
    "time_limit": settings.LABELLING_HARD_LIMIT_SECONDS,
}


def find_room(queue: str = settings.STEPS_QUEUE) -> int:
    """Return how many messages of runs the queue has room for; none where the broker cannot be asked.

    Up to twice as many messages as labelling keeps there: so it never keeps these out, and what waits for a worker for
    days is not sent without end.
    """
    try:
        return 2 * settings.LABELLING_QUEUE_BATCHES - count_messages(queue)
    except broker_errors() as error:
        logger.warning("broker not reachable (%s); runs wait for the sweep", error)
        return 0


def send_runs(waiting: QuerySet[Any], *, task: Any, room: int | None = None) -> int:
    """Put those of the runs on the queue whose message is lost, or was never sent, at most `room`; return how many.

    Without `room` it is what `find_room` finds; the broker is asked only where there is something to send. Lost is a
    message that nobody took up after LABELLING_RESEND_SECONDS. A broker that is down is no error: the sweep sends them.
    """
    unsent = waiting.filter(is_unsent(resend_after=timedelta(seconds=settings.LABELLING_RESEND_SECONDS)))
    if not unsent.exists():
        return 0
    if room is None:
        room = find_room(waiting.model.queue)
    with transaction.atomic():
        held = unsent.select_for_update(skip_locked=True).order_by("pk")
        run_ids = list(held.values_list("pk", flat=True)[: max(room, 0)])
        waiting.model._default_manager.filter(pk__in=run_ids).update(sent_at=Now())
    for run_id in run_ids:
        send_run(run_id, task=task)
    return len(run_ids)


def carry_on(run_id: int, *, step: Callable[[int], bool], task: Any) -> bool:
    """Do steps of a run until there is none or its time is over, then send what is left; return whether some is."""
    end = time.monotonic() + AT_ONCE_SECONDS
    while has_more := step(run_id):
        if time.monotonic() >= end:
            send_run(run_id, task=task)
            break
    return has_more


def send_run(run_id: int, *, task: Any) -> None:
    """Put one run on its task's queue; where the broker is away it waits for the sweep."""
    try:
        task.apply_async((run_id,), retry=False)
    except broker_errors() as error:
        logger.warning("broker not reachable (%s); run %s waits for the sweep", error, run_id)

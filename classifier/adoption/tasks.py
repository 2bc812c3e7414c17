"""Celery's side of adoption runs."""

from celery import shared_task
from django.conf import settings

from classifier.adoption.runs import adopt_next_step
from classifier.models import AdoptionRun
from classifier.runs.sending import find_room, send_run, send_runs
from classifier.runs.steps import AT_ONCE_SECONDS, do_steps


@shared_task(
    name="classifier.tasks.adopt_task",
    acks_late=False,
    reject_on_worker_lost=False,
    soft_time_limit=settings.LABELLING_SOFT_LIMIT_SECONDS,
    time_limit=settings.LABELLING_HARD_LIMIT_SECONDS,
)
def adopt_task(run_id: int, **_later: object) -> None:
    """Do steps of one adoption, then send what is left of it."""
    if do_steps(run_id, step=adopt_next_step, seconds=AT_ONCE_SECONDS):
        send_run(run_id, task=adopt_task)


def send_adoption_runs() -> int:
    """Put the adoptions on the queue whose message is lost or was never sent; return how many there were."""
    waiting = AdoptionRun.objects.filter(state=AdoptionRun.State.RUNNING)
    return send_runs(waiting, task=adopt_task, room=find_room())

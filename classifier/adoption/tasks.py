"""Celery's side of adoption and impact runs."""

from celery import shared_task
from django.conf import settings

from classifier.adoption.impact import preview_next_step, start_due_impact_runs
from classifier.adoption.runs import adopt_next_step
from classifier.models import AdoptionRun, ImpactRun
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


@shared_task(
    name="classifier.tasks.impact_task",
    acks_late=False,
    reject_on_worker_lost=False,
    soft_time_limit=settings.LABELLING_SOFT_LIMIT_SECONDS,
    time_limit=settings.LABELLING_HARD_LIMIT_SECONDS,
)
def impact_task(run_id: int, **_later: object) -> None:
    """Do steps of one impact run, then send what is left of it."""
    if do_steps(run_id, step=preview_next_step, seconds=AT_ONCE_SECONDS):
        send_run(run_id, task=impact_task)


def send_impact_runs() -> int:
    """Start the impact of shadow runs that are done, and put on the queue what is not; return how many were put."""
    start_due_impact_runs()
    waiting = ImpactRun.objects.filter(state=ImpactRun.State.RUNNING)
    return send_runs(waiting, task=impact_task, room=find_room())

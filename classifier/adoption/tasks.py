"""Celery's side of adoption and impact runs."""

from celery import shared_task

from classifier.adoption.impact import preview_next_step, start_due_impact_runs
from classifier.adoption.runs import adopt_next_step
from classifier.models import AdoptionRun, ImpactRun
from classifier.runs.sending import STEPS, carry_on, send_runs


@shared_task(name="classifier.tasks.adopt_task", **STEPS)
def adopt_task(run_id: int, **_later: object) -> None:
    """Do steps of one adoption, then send what is left of it."""
    carry_on(run_id, step=adopt_next_step, task=adopt_task)


def send_adoption_runs() -> int:
    """Put the adoptions on the queue whose message is lost or was never sent; return how many there were."""
    waiting = AdoptionRun.objects.filter(state=AdoptionRun.State.RUNNING)
    return send_runs(waiting, task=adopt_task)


@shared_task(name="classifier.tasks.impact_task", **STEPS)
def impact_task(run_id: int, **_later: object) -> None:
    """Do steps of one impact run, then send what is left of it."""
    carry_on(run_id, step=preview_next_step, task=impact_task)


def send_impact_runs() -> int:
    """Start the impact of shadow runs that are done, and put on the queue what is not; return how many were put."""
    start_due_impact_runs()
    waiting = ImpactRun.objects.filter(state=ImpactRun.State.RUNNING)
    return send_runs(waiting, task=impact_task)

"""Celery's side of runs of reviews."""

from celery import shared_task
from django.db.models import Q

from classifier.models import ReviewRun
from classifier.reviews.runs import do_next_step
from classifier.runs.sending import STEPS, carry_on, send_runs


@shared_task(name="classifier.tasks.record_reviews_task", **STEPS)
def record_reviews_task(run_id: int, **_later: object) -> None:
    """Do steps of one run of reviews, then send what is left of it."""
    carry_on(run_id, step=do_next_step, task=record_reviews_task)


def send_review_runs() -> int:
    """Put the runs of reviews on the queue whose message is lost or was never sent; return how many there were."""
    withdrawing = Q(withdrawal_requested=True, withdrawn_at__isnull=True)
    waiting = ReviewRun.objects.filter(Q(state=ReviewRun.State.RUNNING) | withdrawing)
    return send_runs(waiting, task=record_reviews_task)

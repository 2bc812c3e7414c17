"""Celery's side of runs of reviews."""

from celery import shared_task
from django.conf import settings
from django.db.models import Q

from classifier.models import ReviewRun
from classifier.reviews.runs import do_next_step
from classifier.runs.sending import find_room, send_run, send_runs
from classifier.runs.steps import AT_ONCE_SECONDS, do_steps


@shared_task(
    name="classifier.tasks.record_reviews_task",
    acks_late=False,
    reject_on_worker_lost=False,
    soft_time_limit=settings.LABELLING_SOFT_LIMIT_SECONDS,
    time_limit=settings.LABELLING_HARD_LIMIT_SECONDS,
)
def record_reviews_task(run_id: int, **_later: object) -> None:
    """Do steps of one run of reviews, then send what is left of it."""
    if do_steps(run_id, step=do_next_step, seconds=AT_ONCE_SECONDS):
        send_run(run_id, task=record_reviews_task)


def send_review_runs() -> int:
    """Put the runs of reviews on the queue whose message is lost or was never sent; return how many there were."""
    withdrawing = Q(withdrawal_requested=True, withdrawn_at__isnull=True)
    waiting = ReviewRun.objects.filter(Q(state=ReviewRun.State.RUNNING) | withdrawing)
    return send_runs(waiting, task=record_reviews_task, room=find_room())

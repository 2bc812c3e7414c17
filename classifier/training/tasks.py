"""Celery's side of trainings."""

from celery import shared_task

from classifier.models import TrainingRun
from classifier.runs.sending import send_runs
from classifier.training import runs as training_runs


@shared_task(name="classifier.tasks.train_task", acks_late=False, reject_on_worker_lost=False)
def train_task(training_run_id: int, **_later: object) -> None:
    """Carry out one training run, then offer the next queued one."""
    training_runs.run_training(training_run_id)
    send_queued_training()


def send_queued_training() -> bool:
    """Put the oldest queued training run on the training queue if none is running; return whether one was."""
    if TrainingRun.objects.filter(state=TrainingRun.State.RUNNING).exists():
        return False
    oldest = TrainingRun.objects.filter(state=TrainingRun.State.QUEUED).order_by("pk").values("pk")[:1]
    return bool(send_runs(TrainingRun.objects.filter(pk__in=oldest), task=train_task, room=1))

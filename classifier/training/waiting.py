"""Trainings that wait for people's answers: queued when these are there, or when somebody trains anyway."""

from classifier.audit.selectors import list_answers
from classifier.models import AuditRound, TrainingRun
from classifier.training.tasks import send_queued_training

State = TrainingRun.State


def create_waiting_training(audit: AuditRound, *, answers: int, recipe: str) -> TrainingRun:
    """Save a training that is queued once so many of the audit's samples are answered; its result is a candidate."""
    return TrainingRun.objects.create(
        state=State.WAITING, recipe=recipe, seed=1, waits_for=audit, waits_for_answers=answers
    )


def count_answers(run: TrainingRun) -> int:
    """Return how many answers there are of those that a training waits for."""
    return list_answers(run.waits_for).values("image").distinct().count() if run.waits_for else 0


def release_trainings() -> int:
    """Queue and send the waiting trainings whose answers are there; return how many."""
    waiting = TrainingRun.objects.filter(state=State.WAITING, waits_for__isnull=False).select_related("waits_for")
    ready = [run.pk for run in waiting if count_answers(run) >= run.waits_for_answers]
    return _queue(ready)


def train_anyway(run: TrainingRun) -> bool:
    """Queue a waiting training without its answers; return False if it did not wait any more."""
    return bool(_queue([run.pk]))


def _queue(run_ids: list[int]) -> int:
    queued = TrainingRun.objects.filter(pk__in=run_ids, state=State.WAITING).update(state=State.QUEUED)
    if queued:
        send_queued_training()
    return queued

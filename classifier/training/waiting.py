"""Trainings that wait for people's answers: queued when these are there, or when somebody trains anyway."""

from classifier.audit.selectors import list_answers, list_unanswered
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
    """Queue and send the waiting trainings whose answers are there, or as many as can come; return how many."""
    waiting = TrainingRun.objects.filter(state=State.WAITING, waits_for__isnull=False).select_related("waits_for")
    return _queue([run.pk for run in waiting if _is_ready(run)])


def _is_ready(run: TrainingRun) -> bool:
    """Whether its answers are there, or some are and nothing is left to ask: products go, and show other pictures."""
    answers = count_answers(run)
    if answers >= run.waits_for_answers:
        return True
    return bool(answers) and run.waits_for is not None and not list_unanswered(run.waits_for).exists()


def train_anyway(run: TrainingRun) -> bool:
    """Queue a waiting training without its answers; return False if it did not wait any more."""
    return bool(_queue([run.pk]))


def _queue(run_ids: list[int]) -> int:
    queued = TrainingRun.objects.filter(pk__in=run_ids, state=State.WAITING).update(state=State.QUEUED)
    if queued:
        send_queued_training()
    return queued

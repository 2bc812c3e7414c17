"""Start a training: its row is saved, and sent once it is committed."""

from django.contrib.auth.models import User
from django.db import IntegrityError, transaction

from classifier.models import TrainingRun
from classifier.training.tasks import send_queued_training


class TrainingOpenError(Exception):
    """An exclusive training was asked for while another one is queued or running."""


def start_training_run(
    *,
    recipe: str,
    seed: int,
    epochs: int | None = None,
    limit: int | None = None,
    activate: bool = False,
    user: User | None = None,
    exclusive: bool = False,
) -> TrainingRun:
    """Queue a training for a worker of the training queue; saved, and sent on commit.

    With `exclusive` it is refused while another training is queued or running: raises `TrainingOpenError`, and nothing
    is written. Of any number of such calls at once exactly one gets through.
    """
    open_runs = TrainingRun.objects.filter(state__in=[TrainingRun.State.QUEUED, TrainingRun.State.RUNNING])
    try:
        with transaction.atomic():
            if exclusive and (other := open_runs.first()) is not None:
                raise TrainingOpenError(f"Expected no open training; training run {other.pk} is {other.state}.")
            run = TrainingRun.objects.create(
                recipe=recipe,
                seed=seed,
                epochs=epochs,
                limit=limit,
                activate=activate,
                requested_by=user,
                exclusive=exclusive,
            )
            transaction.on_commit(send_queued_training)
    except IntegrityError as error:  # the partial unique index: another call at the same time was first
        raise TrainingOpenError("Expected no open training; another one was queued at the same time.") from error
    return run

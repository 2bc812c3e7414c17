"""Start a training: its row is saved, and sent to a worker once it is committed, or carried out by this process."""

from typing import Any

from django.db import IntegrityError, transaction
from django.db.models.functions import Now

from classifier.models import TrainingRun
from classifier.training.runs import State, abandon_dead_training_runs
from classifier.training.tasks import send_queued_training


class TrainingOpenError(Exception):
    """A training was asked for that another one, queued or running, stands in the way of."""


def start_training_run(*, exclusive: bool = False, here: bool = False, **asked: Any) -> TrainingRun:
    """Queue a training for a worker of the training queue; saved, and sent on commit. `asked` are fields of the row.

    With `exclusive` it is refused while another training is queued or running. With `here` it is running at once, for
    this process to carry out before those that are queued, and refused while another one is running. Refused means
    that `TrainingOpenError` is raised and nothing is written. Of any number of such calls at once exactly one gets
    through.
    """
    abandon_dead_training_runs()  # on a machine without workers nobody else does it
    begun = {"state": State.RUNNING, "started_at": Now(), "heartbeat_at": Now()} if here else {}
    refusing = [State.QUEUED, State.RUNNING] if exclusive else [State.RUNNING] if here else []
    try:
        with transaction.atomic():
            if (other := TrainingRun.objects.filter(state__in=refusing).first()) is not None:
                raise TrainingOpenError(f"Expected no open training; training run {other.pk} is {other.state}.")
            run = TrainingRun.objects.create(exclusive=exclusive, **begun, **asked)
            transaction.on_commit(send_queued_training)
    except IntegrityError as error:  # a partial unique index: another call at the same time was first
        raise TrainingOpenError("Expected no open training; another one was started at the same time.") from error
    run.refresh_from_db()
    return run

"""Trainings asked for through a row: at most one runs, its progress and heartbeat stand on the row."""

import logging
import shlex
import tempfile
import time
from datetime import timedelta
from functools import partial
from pathlib import Path

from django.conf import settings
from django.db import IntegrityError, transaction
from django.db.models import Q
from django.db.models.functions import Now
from django.utils import timezone

from classifier.ml.types import TrainingProgress
from classifier.models import ModelVersion, TrainingRun
from classifier.registry.services import register_model_version
from classifier.training.heartbeat import TrainingHeartbeat
from config.db.reconnecting import retry_while_unreachable

logger = logging.getLogger(__name__)

State = TrainingRun.State
# A row is written this often at most, however fast the steps are.
PROGRESS_SECONDS = 2.0


class TrainingStoppedError(Exception):
    """The run was cancelled, or its row was given up; the training ends and leaves nothing behind."""


def take_training_run_to_send() -> TrainingRun | None:
    """Mark the oldest queued run as sent and return it; None if a run is running or the message is on its way.

    A message that nobody took up after LABELLING_RESEND_SECONDS counts as lost.
    """
    if TrainingRun.objects.filter(state=State.RUNNING).exists():
        return None
    run = TrainingRun.objects.filter(state=State.QUEUED).order_by("pk").first()
    if run is None:
        return None
    lost = Now() - timedelta(seconds=settings.LABELLING_RESEND_SECONDS)
    unsent = TrainingRun.objects.filter(Q(sent_at__isnull=True) | Q(sent_at__lt=lost), pk=run.pk, state=State.QUEUED)
    return run if unsent.update(sent_at=Now()) else None


def claim_training_run(training_run_id: int) -> TrainingRun | None:
    """Make a queued run the running one and return it; None if it is not queued or another one is running."""
    try:
        with transaction.atomic():
            claimed = TrainingRun.objects.filter(pk=training_run_id, state=State.QUEUED).update(
                state=State.RUNNING, started_at=Now(), heartbeat_at=Now()
            )
    except IntegrityError:  # the partial unique index: another run is running
        return None
    return TrainingRun.objects.get(pk=training_run_id) if claimed else None


def abandon_dead_training_runs() -> int:
    """Mark a running run whose heartbeat lapsed as abandoned, so that the next can start; return how many."""
    lapsed = Now() - timedelta(seconds=settings.TRAINING_HEARTBEAT_SECONDS)
    return TrainingRun.objects.filter(state=State.RUNNING, heartbeat_at__lt=lapsed).update(
        state=State.ABANDONED, finished_at=Now(), error="The worker that trained it stopped answering."
    )


def has_stalled(run: TrainingRun) -> bool:
    """Return whether a run that should be running gave no sign of life for half its heartbeat time."""
    if run.state != State.RUNNING or run.heartbeat_at is None:
        return False
    return timezone.now() - run.heartbeat_at > timedelta(seconds=settings.TRAINING_HEARTBEAT_SECONDS / 2)


def cancel_training_run(run: TrainingRun) -> bool:
    """Cancel a queued run at once and a running one at its next step; return False if it had ended already."""
    if TrainingRun.objects.filter(pk=run.pk, state=State.QUEUED).update(state=State.CANCELLED, finished_at=Now()):
        return True
    return bool(TrainingRun.objects.filter(pk=run.pk, state=State.RUNNING).update(cancel_requested=True))


def run_training(training_run_id: int) -> TrainingRun | None:
    """Carry out a queued run and register what it trained; return the ended run, None if it could not be claimed.

    Whatever goes wrong ends on the row as `failed` with the reason; the artefact is registered whole or not at all.
    """
    run = claim_training_run(training_run_id)
    if run is None:
        return None
    try:
        with TrainingHeartbeat(run) as heartbeat:
            version = _train(run, _RowReporter(run, heartbeat))
        _end(run, State.DONE, model_version=version)
    except TrainingStoppedError:
        _end(run, State.CANCELLED)
    except Exception as error:  # whatever a training raises must end on its row, or the run would look alive
        logger.exception("training run %s failed", run.pk)
        _end(run, State.FAILED, error=f"{type(error).__name__}: {error}")
    run.refresh_from_db()
    return run


def _train(run: TrainingRun, reporter: "_RowReporter") -> ModelVersion:
    """Train into a temporary folder and register the artefact, as a candidate or the active version."""
    # TensorFlow lies behind this import; only a training worker ever gets here.
    from classifier.ml import pipeline
    from classifier.ml.config import get_recipe

    Path(settings.ARTEFACTS_DIR).mkdir(parents=True, exist_ok=True)
    request = pipeline.TrainingRequest(
        recipe=get_recipe(run.recipe),
        seed=run.seed,
        command=_command_line(run),
        epochs=run.epochs,
        limit=run.limit,
        backbone_weights=_backbone_weights(),
    )
    with tempfile.TemporaryDirectory(prefix=".training-", dir=settings.ARTEFACTS_DIR) as folder:
        trained = pipeline.train(request, output_dir=Path(folder), progress=reporter.report)
        reporter.check()
        return register_model_version(trained.folder, activate=run.activate)


def _backbone_weights() -> str:
    """Return what the backbone starts from: ImageNet weights, whose file BACKBONE_WEIGHTS may name, or none."""
    return "none" if settings.BACKBONE_WEIGHTS == "none" else "imagenet"


def _command_line(run: TrainingRun) -> str:
    """Return the command that trains the same artefact in the foreground."""
    words = ["manage.py", "train_classifier", "--recipe", run.recipe, "--seed", str(run.seed)]
    words += ["--backbone-weights", _backbone_weights()]
    for option, value in (("--epochs", run.epochs), ("--limit", run.limit)):
        if value is not None:
            words += [option, str(value)]
    return shlex.join(words)


def _end(run: TrainingRun, state: str, *, error: str = "", model_version: ModelVersion | None = None) -> None:
    # Only a run that is still running ends here: one that was given up as dead meanwhile stays so.
    running = TrainingRun.objects.filter(pk=run.pk, state=State.RUNNING)
    fields = {"state": state, "finished_at": Now(), "error": error, "model_version": model_version}
    retry_while_unreachable(partial(running.update, **fields))


class _RowReporter:
    """Writes progress on the run's row, and raises `TrainingStoppedError` when the row says stop."""

    def __init__(self, run: TrainingRun, heartbeat: TrainingHeartbeat) -> None:
        self.run = run
        self.heartbeat = heartbeat
        self.history: list[dict[str, float]] = []
        self.written_at = 0.0
        self.finished_epochs = 0

    def report(self, progress: TrainingProgress) -> None:
        """Take note of the progress; at most one write in `PROGRESS_SECONDS`, and one at the end of each epoch."""
        self.heartbeat.note_progress()
        epoch_ended = progress.phase == "train" and progress.step == progress.steps and progress.steps > 0
        if epoch_ended and progress.epoch > self.finished_epochs:
            self.finished_epochs = progress.epoch
            self.history.append({"epoch": progress.epoch, **progress.metrics})
        elif time.monotonic() - self.written_at < PROGRESS_SECONDS:
            return
        self.written_at = time.monotonic()
        self.check(
            progress={
                "phase": progress.phase,
                "epoch": progress.epoch,
                "epochs": progress.epochs,
                "step": progress.step,
                "steps": progress.steps,
                "history": self.history,
                "reported_at": timezone.now().isoformat(),
            }
        )

    def check(self, **fields: object) -> None:
        """Renew the heartbeat with more fields to write; raise `TrainingStoppedError` if the run shall not go on.

        A database that is away for a moment does not cost the training.
        """
        alive = TrainingRun.objects.filter(pk=self.run.pk, state=State.RUNNING, cancel_requested=False)
        if not retry_while_unreachable(partial(alive.update, heartbeat_at=Now(), **fields)):
            raise TrainingStoppedError

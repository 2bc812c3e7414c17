"""Trainings asked for through a row: at most one runs, its progress and heartbeat stand on the row."""

import hashlib
import logging
import shlex
import tempfile
import time
from datetime import datetime, timedelta
from functools import cache, partial
from pathlib import Path
from typing import Any

from django.conf import settings
from django.db import IntegrityError, transaction
from django.db.models.functions import Now

import classifier.ml
from classifier.adoption.gate import examine_artefact, record_answers
from classifier.adoption.services import Asker, Stage, StageError, Way, request_stage_change
from classifier.ml import pipeline
from classifier.ml.artefacts import Manifest
from classifier.ml.config import IMAGENET, NO_WEIGHTS, get_recipe
from classifier.ml.types import ProgressCallback, TrainingProgress
from classifier.models import OutOfFoldAnswer, TrainingRun
from classifier.registry.services import copy_artefact, record_model_version
from classifier.training.heartbeat import TrainingHeartbeat
from classifier.training.reviewed import record_out_of_fold, train_by_reviews
from classifier.training.titles import teach_by_titles
from config.db.clock import get_database_time
from config.db.reconnecting import retry_while_unreachable

logger = logging.getLogger(__name__)

State = TrainingRun.State
# A row is written this often at most, however fast the steps are.
PROGRESS_SECONDS = 2.0


class TrainingStoppedError(Exception):
    """The run was cancelled, or its row was given up; the training ends and leaves nothing behind."""


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
        state=State.ABANDONED, finished_at=Now(), error="The process that trained it stopped answering."
    )


def has_stalled(run: TrainingRun, *, now: datetime) -> bool:
    """Return whether a run that should be running gave no sign of life for half its heartbeat time."""
    if run.state != State.RUNNING or run.heartbeat_at is None:
        return False
    return now - run.heartbeat_at > timedelta(seconds=settings.TRAINING_HEARTBEAT_SECONDS / 2)


def cancel_training_run(run: TrainingRun) -> bool:
    """Cancel a run that has not begun at once and a running one at its next step; return False if it had ended."""
    if TrainingRun.objects.filter(pk=run.pk, state__in=[State.WAITING, State.QUEUED]).cancel():
        return True
    return bool(TrainingRun.objects.filter(pk=run.pk, state=State.RUNNING).update(cancel_requested=True))


def run_training(training_run_id: int) -> TrainingRun | None:
    """Carry out a queued run; return the ended run, None if it could not be claimed."""
    run = claim_training_run(training_run_id)
    if run is None:
        return None
    try:
        carry_out_training(run)
    except Exception:  # it stands on the row
        logger.exception("training run %s failed", run.pk)
    run.refresh_from_db()
    return run


def carry_out_training(run: TrainingRun, *, watch: ProgressCallback = lambda _progress: None) -> None:
    """Train what a running run asks for, in this process; `watch` is called with every progress.

    The end stands on the row: done; cancelled, also by Ctrl-C; or failed with the reason, which is raised as well. The
    artefact is registered whole or not at all.
    """
    try:
        with TrainingHeartbeat(run) as heartbeat:
            _train(run, _RowReporter(heartbeat, watch))
    except (TrainingStoppedError, KeyboardInterrupt):
        _end(run, State.CANCELLED)
    except Exception as error:  # whatever a training raises must end on its row, or the run would look alive
        _end(run, State.FAILED, error=f"{type(error).__name__}: {error}")
        raise


def _train(run: TrainingRun, reporter: "_RowReporter") -> None:
    """Train into a temporary folder and register the artefact, or train into the folder that the run names."""
    # ImageNet weights, whose file BACKBONE_WEIGHTS may name.
    usual_weights = find_usual_weights()
    recipe, data_dir = get_recipe(run.recipe), Path(run.data_dir) if run.data_dir else None
    request = pipeline.TrainingRequest(
        recipe=recipe,
        seed=run.seed,
        command=_build_command_line(run, backbone_weights=run.backbone_weights or usual_weights),
        epochs=run.epochs,
        limit=run.limit,
        backbone_weights=run.backbone_weights or usual_weights,
        name=Path(run.output).name or None,
    )
    Path(settings.ARTEFACTS_DIR).mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=".training-", dir=settings.ARTEFACTS_DIR) as folder:
        answers: list[OutOfFoldAnswer] = []
        output = Path(run.output) if run.output else Path(folder) / "taught"
        if recipe.trainable == "titles":
            trained = teach_by_titles(request, output=output, progress=reporter.report)
        elif recipe.trainable == "reviewed":
            trained, answers = train_by_reviews(request, output=output, progress=reporter.report)
        else:
            trained = pipeline.train(
                request,
                output_dir=Path(run.output).parent if run.output else Path(folder),
                data_dir=data_dir,
                progress=reporter.report,
            )
        reporter.check()
        # What was recorded stays, so that a database that is away for a moment costs neither that nor the training.
        if not run.output:
            retry_while_unreachable(partial(record_answers, trained.folder, data_dir=data_dir))
        examine = partial(examine_artefact, trained.folder, data_dir=data_dir)
        examination = retry_while_unreachable(examine) if run.activate else None
        copied = None if run.output else copy_artefact(trained.folder)

        # One transaction: a run that is cancelled or given up meanwhile leaves no version. If only the answer to the
        # commit was lost, the second try finds a run that has ended.
        @transaction.atomic
        def register() -> None:
            version, problem = record_model_version(copied) if copied else None, ""
            if version is not None:
                record_out_of_fold(answers, version=version)
            if version is not None and examination is not None:
                try:
                    request_stage_change(
                        version,
                        to=Stage.PRODUCTION,
                        asker=Asker(Way.TRAINING, run.requested_by),
                        reason=run.reason,
                        force=bool(run.reason),
                        examination=examination,
                    )
                except StageError as error:
                    # Whatever it is, hours of work are a candidate.
                    problem = f"The version is registered and not in production. {error}"
            origin = describe_origin(trained.manifest)
            reporter.check(state=State.DONE, finished_at=Now(), model_version=version, error=problem, origin=origin)

        retry_while_unreachable(register)


def describe_origin(manifest: Manifest) -> dict[str, Any]:
    """Return what a training was made from, as plain JSON: it stays known when the artefact is gone."""
    files = manifest.dataset.get("sha256", {})
    return {
        "dataset": manifest.dataset.get("name", ""),
        "dataset_sha256": hashlib.sha256(
            "".join(f"{name}{files[name]}" for name in sorted(files)).encode()
        ).hexdigest(),
        "pictures": manifest.dataset.get("pictures", {}),
        "code_sha256": find_code_hash(),
        "libraries": dict(manifest.libraries),
    }


@cache
def find_code_hash() -> str:
    """Return the SHA-256 of the code that trains, as it lies on this machine."""
    root = Path(classifier.ml.__file__).parent
    digest = hashlib.sha256()
    for path in sorted(root.rglob("*.py")):
        digest.update(f"{path.relative_to(root)}\0".encode() + path.read_bytes() + b"\0")
    return digest.hexdigest()


def find_usual_weights() -> str:
    """Return what the backbone starts from where nobody says: the settings know."""
    return NO_WEIGHTS if settings.BACKBONE_WEIGHTS == NO_WEIGHTS else IMAGENET


def _build_command_line(run: TrainingRun, *, backbone_weights: str) -> str:
    """Build the command that trains the same artefact; a file stands without its folder, which is this machine's."""
    options = {
        "recipe": run.recipe,
        "seed": run.seed,
        "backbone-weights": Path(backbone_weights).name,
        "epochs": run.epochs,
        "limit": run.limit,
    }
    words = [word for name, value in options.items() if value is not None for word in (f"--{name}", str(value))]
    return shlex.join(["manage.py", "train_classifier", *words])


def _end(run: TrainingRun, state: str, *, error: str = "") -> None:
    # Only a run that is still running ends here: one that was given up as dead meanwhile stays so.
    running = TrainingRun.objects.filter(pk=run.pk, state=State.RUNNING)
    retry_while_unreachable(partial(running.update, state=state, finished_at=Now(), error=error))


class _RowReporter:
    """Writes progress on the run's row, and raises `TrainingStoppedError` when the row says stop."""

    def __init__(self, heartbeat: TrainingHeartbeat, watch: ProgressCallback) -> None:
        self.heartbeat = heartbeat
        self.watch = watch
        self.history: list[dict[str, float]] = []
        self.written_at = 0.0

    def report(self, progress: TrainingProgress) -> None:
        """Take note of the progress; at most one write in `PROGRESS_SECONDS`, and one at the end of each epoch."""
        self.heartbeat.note_progress()
        self.watch(progress)
        epoch_ended = progress.phase == "train" and progress.step == progress.steps and progress.steps > 0
        if epoch_ended and progress.epoch > len(self.history):
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
                "reported_at": retry_while_unreachable(get_database_time).isoformat(),
            }
        )

    def check(self, **fields: object) -> None:
        """Renew the heartbeat with more fields to write; raise `TrainingStoppedError` if the run shall not go on.

        A database that is away for a moment does not cost the training.
        """
        alive = TrainingRun.objects.filter(pk=self.heartbeat.run.pk, state=State.RUNNING, cancel_requested=False)
        if not retry_while_unreachable(partial(alive.update, heartbeat_at=Now(), **fields)):
            raise TrainingStoppedError

"""Train a classifier and make a model version of it."""

from argparse import ArgumentParser
from functools import partial
from os.path import abspath
from pathlib import Path
from typing import Any

from django.conf import settings
from django.core.management.base import CommandError

from classifier.management.activation import (
    HELP,
    add_activation_options,
    describe_request,
    read_asker,
    read_reason,
    refuse_activation,
)
from classifier.ml.artefacts import MANIFEST_FILE, ArtefactError, load_manifest
from classifier.ml.config import DEFAULT_RECIPE, IMAGENET, NO_WEIGHTS, RECIPES
from classifier.ml.judging.evaluation import measure_accuracy
from classifier.ml.types import TrainingProgress
from classifier.ml.words import write_fraction, write_known
from classifier.models import TrainingRun
from classifier.registry.services import get_artefact_folder
from classifier.training.runs import carry_out_training
from classifier.training.serializers import TrainingRunRequestSerializer
from classifier.training.starting import TrainingOpenError, start_training_run
from config.console import ProgressReport, ReportingCommand


class Command(ReportingCommand):
    """`train_classifier [--recipe NAME] ... [--activate [--user NAME] [--force --reason TEXT]] [--enqueue]`."""

    help = (
        "Train on Fashion-MNIST, calibrate, evaluate on its test pictures, and register the result as a version.\n"
        "The training is a run like a worker's: the page Trainings shows and cancels it, and one runs at a time.\n"
        "Nothing is registered when the command is interrupted.\n\n"
        "Examples:\n"
        "  manage.py train_classifier --activate\n"
        "  manage.py train_classifier --epochs 1 --limit 5000 --backbone-weights none\n"
        "  manage.py train_classifier --seed 1 --output classifier/artefacts/default\n"
        "  manage.py train_classifier --backbone-weights classifier/artefacts/default --epochs 1 --limit 38400\n\n"
        f"{HELP}"
    )
    shows_progress = True

    def add_arguments(self, parser: ArgumentParser) -> None:
        """Declare the command line."""
        parser.add_argument("--recipe", choices=list(RECIPES), default=DEFAULT_RECIPE, help="what to train")
        parser.add_argument("--epochs", type=int, help="instead of the recipe's number of epochs")
        parser.add_argument("--seed", type=int, default=1, help="of every random choice but the split (default: 1)")
        parser.add_argument("--limit", type=int, help="train on so many pictures only")
        parser.add_argument(
            "--data-dir", type=abspath, metavar="DIR", help="the folder with the four Fashion-MNIST files"
        )
        parser.add_argument(
            "--backbone-weights",
            metavar="imagenet|none|FILE|ARTEFACT_DIR",
            help="what the backbone starts from (default: imagenet, or none where BACKBONE_WEIGHTS is none); all of an "
            "artefact's network goes on learning",
        )
        add_activation_options(parser)
        parser.add_argument("--enqueue", action="store_true", help="let a worker of the training queue do it")
        parser.add_argument(
            "--output", type=abspath, metavar="DIR", help="write the artefact there and register nothing"
        )

    def handle(self, *args: Any, **options: Any) -> None:
        """Carry a training run out here, or put it on the queue."""
        reason, asker = read_reason(options), read_asker(options)
        # What the backbone starts from may be a file here, which stands for weights that were trained.
        weights = options["backbone_weights"] or ""
        known = weights if weights in ("", NO_WEIGHTS) else IMAGENET
        form = TrainingRunRequestSerializer(data=options | {"backbone_weights": known})
        if not form.is_valid():
            problems = [f"--{name.replace('_', '-')}: {' '.join(texts)}" for name, texts in form.errors.items()]
            raise CommandError(" ".join(problems), returncode=2)
        if options["output"] and options["activate"]:
            raise CommandError("--activate needs a registered artefact, which --output does not make", returncode=2)
        if options["output"] and not _may_replace(Path(options["output"])):
            raise CommandError("--output needs a new or empty folder, or an artefact to replace", returncode=2)
        here = {name: options[name] for name in ("data_dir", "backbone_weights", "output") if options[name]}
        if options["enqueue"] and here:
            names = ", ".join("--" + name.replace("_", "-") for name in here)
            raise CommandError(f"--enqueue leaves {names} to the worker's settings", returncode=2)
        asked = {**form.validated_data, **here, "activate": options["activate"], "reason": reason}
        asked["requested_by"] = asker.user
        try:
            run = start_training_run(here=not options["enqueue"], **asked)
        except TrainingOpenError as error:
            raise CommandError(
                f"{error} One training runs at a time. Wait until it has ended (one whose process died counts as ended "
                f"after {settings.TRAINING_HEARTBEAT_SECONDS} s), cancel it on the page Trainings, or let a worker do "
                "yours after it: --enqueue"
            ) from error
        if options["enqueue"]:
            result = {"training_run": run.pk, "state": str(run.state)}
            text = f"Training run {run.pk} is queued. A worker does it: celery -A config worker -Q training"
        else:
            result, text = self._train(run, options)
        self.answer(result, text, options)
        if run.error:
            raise refuse_activation(run.error)

    def _train(self, run: TrainingRun, options: dict[str, Any]) -> tuple[dict[str, Any], str]:
        """Carry the run out; return what became of it as a document and as a sentence."""
        title = f"Training run {run.pk}"
        with self.show_progress(options, title=title, unit="steps") as report:
            try:
                carry_out_training(run, watch=partial(_show, report))
            except Exception as error:
                # What does not load passes no gate, as it does where it is registered by hand.
                is_refused = options["activate"] and isinstance(error, ArtefactError)
                message = f"{title} failed: {error}. Nothing was registered"
                raise CommandError(message, returncode=3 if is_refused else 1) from error
        run.refresh_from_db()
        if run.state != TrainingRun.State.DONE:
            raise CommandError(f"{title} is {run.state}. {run.error or 'Nothing was registered.'}")
        version = run.model_version
        try:
            manifest = load_manifest(Path(run.output) if version is None else get_artefact_folder(version))
        except ArtefactError as error:
            raise CommandError(f"{title} is done, and its artefact cannot be read: {error}") from error
        metrics = ("accuracy", "garment_accuracy", "macro_f1", "expected_calibration_error")
        result: dict[str, Any] = {
            "training_run": run.pk,
            "model_version": manifest.version,
            **{name: manifest.metrics.get(name) for name in metrics},
            "seconds": manifest.training.get("seconds"),
            "folder": run.output,
        }
        if version is not None:
            result |= {"folder": version.folder, "id": version.pk, "stage": str(version.stage)}
        change = version.stage_changes.first() if version is not None else None
        if change is not None:
            result["stage_change"] = change.pk
        groups, garments = (write_fraction(measure_accuracy(manifest.metrics, name)) for name in metrics[:2])
        calibration = write_known(result["expected_calibration_error"], ".4f")
        text = (
            f"{manifest.version}: accuracy {groups} over groups, {garments} over garments, "
            f"calibration error {calibration}, {write_known(result['seconds'], '.0f')} s; "
            f"{run.output if version is None else f'model version {version.pk} ({version.stage})'}"
            f"{describe_request(change) if change is not None else ''}"
        )
        return result, text


def _may_replace(folder: Path) -> bool:
    """Return whether nothing but an artefact is lost when another one takes this place."""
    return not folder.exists() or (folder / MANIFEST_FILE).is_file() or (folder.is_dir() and not any(folder.iterdir()))


def _show(report: ProgressReport, progress: TrainingProgress) -> None:
    names = {"loss": "loss", "validation_accuracy": "validation accuracy", "accuracy": "accuracy"}
    known = [f"{text} {progress.metrics[name]:.4f}" for name, text in names.items() if name in progress.metrics]
    phase = f"epoch {progress.epoch} of {progress.epochs}" if progress.epochs else progress.phase
    note = ", ".join([phase, *known])
    if progress.steps:
        before, epochs = max(progress.epoch - 1, 0), max(progress.epochs, 1)
        report.update(before * progress.steps + progress.step, epochs * progress.steps, note=note)
    if report.enabled and progress.step == progress.steps:
        report.console.print(note.capitalize())

"""Train a classifier and make a model version of it."""

import json
import shlex
import tempfile
from argparse import ArgumentParser, RawDescriptionHelpFormatter
from pathlib import Path
from typing import IO, Any, cast

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError
from django.db import DatabaseError

from classifier.adoption.services import StageTransitionError, activate_model_version
from classifier.management.arguments import positive_integer
from classifier.ml.artefacts import ArtefactError, Manifest
from classifier.ml.config import DEFAULT_RECIPE, RECIPES, get_recipe
from classifier.ml.data.dataset import DatasetError
from classifier.ml.types import TrainingProgress
from classifier.registry import services as registry
from classifier.training.starting import start_training_run
from config.console import ProgressReport


class Command(BaseCommand):
    """`train_classifier [--recipe NAME] [--epochs N] [--seed N] [--limit N] ... [--activate] [--enqueue]`."""

    help = (
        "Train on Fashion-MNIST, calibrate, evaluate on its test pictures, and register the result as a version.\n"
        "Nothing is registered when the command is interrupted.\n\n"
        "Examples:\n"
        "  manage.py train_classifier --activate\n"
        "  manage.py train_classifier --epochs 1 --limit 5000 --backbone-weights none\n"
        "  manage.py train_classifier --seed 1 --output classifier/artefacts/default"
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        """Declare the command line."""
        parser.formatter_class = RawDescriptionHelpFormatter
        parser.add_argument("--recipe", choices=list(RECIPES), default=DEFAULT_RECIPE, help="what to train")
        parser.add_argument("--epochs", type=positive_integer, help="instead of the recipe's number of epochs")
        parser.add_argument("--seed", type=int, default=1, help="of every random choice (default: 1)")
        parser.add_argument("--limit", type=positive_integer, help="train on so many pictures only")
        parser.add_argument("--data-dir", type=Path, help="the folder with the four Fashion-MNIST files")
        parser.add_argument(
            "--backbone-weights", default="imagenet", metavar="imagenet|none|FILE", help="what the backbone starts from"
        )
        parser.add_argument("--activate", action="store_true", help="use the result for the next labelling runs")
        parser.add_argument("--enqueue", action="store_true", help="let a worker of the training queue do it")
        parser.add_argument("--output", type=Path, metavar="DIR", help="write the artefact there and register nothing")
        parser.add_argument("--json", action="store_true", help="print the result as one JSON document")
        parser.add_argument("--no-progress", action="store_true", help="show no progress")

    def handle(self, *args: Any, **options: Any) -> None:
        """Train here, or put a training run on the queue."""
        if options["enqueue"]:
            self._enqueue(options)
            return
        if options["output"] and options["activate"]:
            raise CommandError("--activate needs a registered artefact, which --output does not make", returncode=2)
        try:
            folder = options["output"]
            result = self._train_to(folder, options=options) if folder else self._register(options)
        except (DatasetError, ArtefactError, StageTransitionError, OSError, DatabaseError) as error:
            raise CommandError(f"{error}. Nothing was registered") from error
        except KeyboardInterrupt:
            raise CommandError("interrupted; nothing was saved", returncode=1) from None
        self._print(result, options=options)

    def _enqueue(self, options: dict[str, Any]) -> None:
        ignored = [name for name in ("data_dir", "output") if options[name]]
        if options["backbone_weights"] != "imagenet":
            ignored.append("backbone_weights")
        if ignored:
            names = ", ".join("--" + name.replace("_", "-") for name in ignored)
            raise CommandError(f"--enqueue leaves {names} to the worker's settings", returncode=2)
        run = start_training_run(
            recipe=options["recipe"],
            seed=options["seed"],
            epochs=options["epochs"],
            limit=options["limit"],
            activate=options["activate"],
        )
        text = f"Training run {run.pk} is queued. A worker does it: celery -A config worker -Q training"
        self._write({"training_run": run.pk, "state": str(run.state)}, text=text, options=options)

    def _register(self, options: dict[str, Any]) -> dict[str, Any]:
        Path(settings.ARTEFACTS_DIR).mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix=".training-", dir=settings.ARTEFACTS_DIR) as folder:
            result = self._train_to(Path(folder) / "artefact", options=options)
            version = registry.register_model_version(Path(folder) / "artefact")
            if options["activate"]:
                version = activate_model_version(version)
        return {**result, "id": version.pk, "stage": str(version.stage), "folder": version.folder}

    def _train_to(self, folder: Path, *, options: dict[str, Any]) -> dict[str, Any]:
        # TensorFlow lies behind what this imports; the command's help does not wait for it.
        from classifier.ml import pipeline
        from classifier.ml.network.architecture import BackboneWeightsError

        request = pipeline.TrainingRequest(
            recipe=get_recipe(options["recipe"]),
            seed=options["seed"],
            command=build_command_line(options),
            epochs=options["epochs"],
            limit=options["limit"],
            backbone_weights=options["backbone_weights"],
            name=folder.name,
        )
        shown = options["verbosity"] > 0 and not options["no_progress"]
        with ProgressReport(cast(IO[str], self.stderr), title="Training", unit="steps", enabled=shown) as report:
            try:
                trained = pipeline.train(
                    request,
                    output_dir=folder.parent,
                    data_dir=options["data_dir"],
                    progress=lambda progress: _show(report, progress),
                )
            except BackboneWeightsError as error:
                raise CommandError(str(error)) from error
        return build_result(trained.manifest, folder=folder)

    def _print(self, result: dict[str, Any], *, options: dict[str, Any]) -> None:
        where = f"model version {result['id']} ({result['stage']})" if "id" in result else result["folder"]
        text = (
            f"{result['model_version']}: accuracy {result['accuracy']:.4f} over groups, "
            f"{result['garment_accuracy']:.4f} over garments, calibration error "
            f"{result['expected_calibration_error']:.4f}, {result['seconds']:.0f} s; {where}"
        )
        self._write(result, text=text, options=options)

    def _write(self, result: dict[str, Any], *, text: str, options: dict[str, Any]) -> None:
        if options["json"]:
            self.stdout.write(json.dumps(result))
        elif options["verbosity"]:
            self.stdout.write(text)


def build_result(manifest: Manifest, *, folder: Path) -> dict[str, Any]:
    """What the command says of a trained artefact."""
    metrics = ("accuracy", "garment_accuracy", "macro_f1", "expected_calibration_error")
    return {
        "model_version": manifest.version,
        **{name: manifest.metrics[name] for name in metrics},
        "seconds": manifest.training["seconds"],
        "folder": str(folder),
    }


def build_command_line(options: dict[str, Any]) -> str:
    """The command that trains the same artefact: what is not the default, and the seed always.

    Files are named without their folders, which mean nothing on another machine.
    """
    words: list[Any] = ["manage.py", "train_classifier", "--recipe", options["recipe"], "--seed", options["seed"]]
    for name in ("epochs", "limit"):
        if options[name] is not None:
            words += [f"--{name}", options[name]]
    if options["backbone_weights"] in ("imagenet", "none"):
        words += ["--backbone-weights", options["backbone_weights"]]
    else:
        words += ["--backbone-weights", Path(options["backbone_weights"]).name]
    return shlex.join(map(str, words))


def _show(report: ProgressReport, progress: TrainingProgress) -> None:
    if progress.phase == "features":
        report.update(progress.step, progress.steps, note="features of pictures")
        return
    if progress.phase != "train":
        report.console.print(f"{progress.phase.capitalize()} ...") if report.enabled else None
        return
    names = {"loss": "loss", "validation_accuracy": "validation accuracy"}
    known = [f"{text} {progress.metrics[name]:.4f}" for name, text in names.items() if name in progress.metrics]
    note = ", ".join([f"epoch {progress.epoch} of {progress.epochs}", *known])
    report.update((progress.epoch - 1) * progress.steps + progress.step, progress.epochs * progress.steps, note=note)
    if progress.step == progress.steps and report.enabled:
        report.console.print(f"Epoch {progress.epoch} of {progress.epochs}: {', '.join(known)}")

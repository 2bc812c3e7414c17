"""Calibrate an artefact folder anew."""

from argparse import ArgumentParser
from pathlib import Path
from typing import Any

from django.core.management.base import CommandError

from classifier.ml import pipeline
from classifier.ml.artefacts import ArtefactError
from classifier.ml.data.dataset import DatasetError
from classifier.ml.words import percent
from classifier.registry.services import artefact_key
from config.console import ReportingCommand


class Command(ReportingCommand):
    """`calibrate_classifier DIR [--data-dir DIR] [--json]`."""

    help = (
        "Calibrate an artefact anew, as one that is trained now would be, and write its manifest and model card in "
        "place.\n\n"
        "Example:\n  cp -r classifier/artefacts/default/base again\n  manage.py calibrate_classifier again\n\n"
        "Its networks stay byte for byte; thresholds and metrics become those of this version of the product. What was "
        "registered of the folder stays as it is: register it again."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        """Declare the command line."""
        parser.add_argument("folder", type=Path, metavar="DIR", help="the artefact: manifest.json and its files")
        parser.add_argument("--data-dir", type=Path, metavar="DIR", help="the folder with the four Fashion-MNIST files")

    def handle(self, *args: Any, folder: Path, data_dir: Path | None, **options: Any) -> None:
        """Calibrate, save and say what came of it."""
        try:
            manifest = pipeline.calibrate_again(folder, data_dir=data_dir, key=artefact_key()).manifest
        except (ArtefactError, DatasetError, OSError) as error:
            raise CommandError(str(error)) from error
        metrics = manifest.metrics
        result = {"folder": str(folder), "version": manifest.version, "metrics": metrics}
        said = (
            f"{manifest.version}: accuracy {metrics['accuracy']:.4f}, {percent(metrics['answered'])} answered, "
            f"{percent(metrics['accuracy_of_answered'], digits=2)} of the answers right"
        )
        self.answer(result, said, options)

"""Make a model version of an artefact folder."""

from argparse import ArgumentParser
from pathlib import Path
from typing import Any

from django.core.management.base import CommandError

from classifier.adoption.services import StageTransitionError, activate_model_version
from classifier.ml.artefacts import ArtefactError
from classifier.registry.services import register_model_version
from config.console import ReportingCommand


class Command(ReportingCommand):
    """`register_model_version DIR [--activate] [--json]`."""

    help = (
        "Verify an artefact folder, copy it and make it a model version.\n\n"
        "Example:\n  manage.py register_model_version classifier/artefacts/default --activate"
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        """Declare the command line."""
        parser.add_argument("folder", type=Path, metavar="DIR", help="the artefact: manifest.json and its files")
        parser.add_argument(
            "--activate", action="store_true", help="bring it into production, so that labels follow it"
        )

    def handle(self, *args: Any, folder: Path, activate: bool, **options: Any) -> None:
        """Register the folder and say what it became."""
        try:
            version = register_model_version(folder)
            if activate:
                version = activate_model_version(version)
        except (ArtefactError, StageTransitionError, OSError) as error:
            raise CommandError(str(error)) from error
        result = {"id": version.pk, "name": version.name, "stage": version.stage, "recipe": version.recipe}
        self.answer(result, f"Model version {version.pk}: {version.name} ({version.stage})", options)

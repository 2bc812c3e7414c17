"""Make a model version of an artefact folder."""

from argparse import ArgumentParser
from pathlib import Path
from typing import Any

from django.core.management.base import CommandError

from classifier.adoption.gate import GateNotMetError, activate_examined_version, examine_artefact
from classifier.adoption.services import StageTransitionError, StaleActivationError
from classifier.management.activation import HELP, add_activation_options, read_reason, refuse_activation
from classifier.ml.artefacts import ArtefactError
from classifier.registry.services import get_artefact_folder, register_model_version
from config.console import ReportingCommand


class Command(ReportingCommand):
    """`register_model_version DIR [--activate [--force --reason TEXT]] [--data-dir DIR] [--json]`."""

    help = (
        "Verify an artefact folder, copy it and make it a model version.\n\n"
        "Examples:\n"
        "  manage.py register_model_version classifier/artefacts/default --activate\n"
        "  manage.py register_model_version mine --activate --force --reason 'It knows our shop'\n\n"
        f"{HELP}"
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        """Declare the command line."""
        parser.add_argument("folder", type=Path, metavar="DIR", help="the artefact: manifest.json and its files")
        add_activation_options(parser)
        parser.add_argument(
            "--data-dir", type=Path, metavar="DIR", help="the folder with the four Fashion-MNIST files, to compare on"
        )

    def handle(self, *args: Any, folder: Path, activate: bool, **options: Any) -> None:
        """Register the folder and say what it became."""
        reason = read_reason({**options, "activate": activate})
        try:
            version = register_model_version(folder)
        except (ArtefactError, OSError) as error:
            raise CommandError(str(error)) from error
        problem: Exception | None = None
        if activate:
            try:
                examination = examine_artefact(get_artefact_folder(version), data_dir=options["data_dir"])
                version = activate_examined_version(version, examination, reason=reason)
            except ArtefactError as error:
                raise CommandError(str(error), returncode=3) from error
            except StageTransitionError as error:
                raise CommandError(str(error)) from error
            except (GateNotMetError, StaleActivationError) as error:
                problem = error
        result = {"id": version.pk, "name": version.name, "stage": version.stage, "recipe": version.recipe}
        self.answer(result, f"Model version {version.pk}: {version.name} ({version.stage})", options)
        if problem is not None:
            raise refuse_activation(problem)

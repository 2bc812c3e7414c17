"""Make a model version of an artefact folder."""

from argparse import ArgumentParser
from pathlib import Path
from typing import Any

from django.core.management.base import CommandError

from classifier.adoption.gate import examine_artefact, record_answers
from classifier.adoption.services import (
    GateNotMetError,
    Stage,
    StageError,
    StaleActivationError,
    request_stage_change,
)
from classifier.management.activation import (
    HELP,
    add_activation_options,
    describe_request,
    read_asker,
    read_reason,
    refuse_activation,
)
from classifier.ml.artefacts import ArtefactError
from classifier.registry.services import get_artefact_folder, register_model_version
from config.console import ReportingCommand


class Command(ReportingCommand):
    """`register_model_version DIR [--activate [--user NAME] [--force --reason TEXT]] [--data-dir DIR] [--json]`."""

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
        asker = read_asker({**options, "activate": activate})
        try:
            version = register_model_version(folder)
        except (ArtefactError, OSError) as error:
            raise CommandError(str(error)) from error
        try:
            record_answers(get_artefact_folder(version), data_dir=options["data_dir"])
        except ArtefactError as error:
            raise CommandError(str(error), returncode=3) from error
        problem: Exception | None = None
        change = None
        if activate and version.stage != Stage.PRODUCTION:
            try:
                examination = examine_artefact(get_artefact_folder(version), data_dir=options["data_dir"])
                change = request_stage_change(
                    version,
                    to=Stage.PRODUCTION,
                    asker=asker,
                    reason=reason,
                    force=bool(reason),
                    examination=examination,
                )
            except ArtefactError as error:
                raise CommandError(str(error), returncode=3) from error
            except (GateNotMetError, StaleActivationError) as error:
                problem = error
            except StageError as error:
                raise CommandError(str(error)) from error
        version.refresh_from_db()
        result = {"id": version.pk, "name": version.name, "stage": version.stage, "recipe": version.recipe}
        waits = ""
        if change is not None:
            result["stage_change"], waits = change.pk, describe_request(change)
        self.answer(result, f"Model version {version.pk}: {version.name} ({version.stage}){waits}", options)
        if problem is not None:
            raise refuse_activation(problem)

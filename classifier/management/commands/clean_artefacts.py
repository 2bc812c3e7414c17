"""Remove what killed trainings left in ARTEFACTS_DIR, and check the artefacts of all model versions."""

from argparse import ArgumentParser
from dataclasses import asdict
from typing import Any

from django.core.management.base import CommandError

from catalog.pictures.storage import StorageError
from classifier.ml.artefacts import ArtefactError
from classifier.registry.cleaning import SAFE_AGE_SECONDS, clean_artefacts
from classifier.registry.services import sign_registered_artefacts
from config.console import ReportingCommand


class Command(ReportingCommand):
    """`clean_artefacts [--older-than HOURS] [--dry-run | --sign] [--json]`."""

    help = (
        "Remove what trainings and registrations that were killed left behind, and check that every model version's\n"
        "artefact is there and unchanged; with STORAGE_URL in the bucket as well. Exits with 1 if one is not.\n\n"
        "Example:\n  manage.py clean_artefacts --dry-run"
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        """Declare the command line."""
        parser.add_argument(
            "--older-than",
            type=float,
            default=SAFE_AGE_SECONDS / 3600,
            metavar="HOURS",
            help="leave alone what changed within the last HOURS (%(default).0f)",
        )
        action = parser.add_mutually_exclusive_group()
        action.add_argument("--dry-run", action="store_true", help="say what would be removed and remove nothing")
        action.add_argument(
            "--sign",
            action="store_true",
            help="sign all artefacts with ARTEFACT_KEY, also those that a key of ARTEFACT_KEY_FALLBACKS signed",
        )

    def handle(self, *args: Any, older_than: float, dry_run: bool, sign: bool, **options: Any) -> None:
        """Clean, and report."""
        if sign:
            try:
                number = sign_registered_artefacts()
            except (ArtefactError, StorageError, OSError) as error:
                raise CommandError(str(error)) from error
            return self.answer({"signed": number}, f"{number} artefacts are signed with ARTEFACT_KEY.", options)
        try:
            report = clean_artefacts(older_than_seconds=older_than * 3600, dry_run=dry_run)
        except StorageError as error:
            raise CommandError(f"{error}. What was removed until now is gone; try again later.") from error
        verb = "would be removed" if dry_run else "removed"
        head = f"{len(report.removed)} folders {verb}, {len(report.damaged)} artefacts damaged."
        if report.shared:
            head += f" Not in the bucket {'yet' if dry_run else 'until now'}: {', '.join(report.shared)}."
        self.answer(asdict(report), "\n  ".join([head, *report.removed]), options)
        if report.damaged:
            lines = [f"model version {pk}: {message}" for pk, message in report.damaged.items()]
            raise CommandError("Expected every artefact as it was registered.\n" + "\n".join(lines))
        return None

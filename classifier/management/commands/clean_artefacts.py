"""Remove what killed trainings left in ARTEFACTS_DIR, and check the artefacts of all model versions."""

from argparse import ArgumentParser
from dataclasses import asdict
from typing import Any

from django.core.management.base import CommandError

from catalog.pictures.storage import StorageError
from classifier.registry.cleaning import SAFE_AGE_SECONDS, clean_artefacts
from config.console import ReportingCommand


class Command(ReportingCommand):
    """`clean_artefacts [--older-than HOURS] [--dry-run] [--json]`."""

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
        parser.add_argument("--dry-run", action="store_true", help="say what would be removed and remove nothing")

    def handle(self, *args: Any, older_than: float, dry_run: bool, **options: Any) -> None:
        """Clean, and report."""
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

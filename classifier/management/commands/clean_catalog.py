"""Remove what nothing shows any more."""

from argparse import ArgumentParser, ArgumentTypeError
from dataclasses import asdict
from datetime import timedelta
from itertools import groupby
from operator import itemgetter
from typing import Any, Final

from django.conf import settings
from django.core.management.base import CommandError
from django.db import DatabaseError

from catalog.models import Image
from catalog.pictures.storage import StorageError
from classifier.cleaning.files import ALL_FOLDERS
from classifier.cleaning.rules import Figures, Terms
from classifier.cleaning.services import clean_catalog
from config.console import ReportingCommand
from config.db.troubles import explain

UNITS: Final = {"images": "ids", "versions": "version ids", "features": "ids", "files": "folders", "sessions": "steps"}


def _read_days(text: str) -> float:
    days = float(text)
    if not 0 <= days <= 36_500:
        raise ArgumentTypeError(f"expected 0 to 36500 days; received {text}")
    return days


class Command(ReportingCommand):
    """`clean_catalog [--older-than DAYS] [--dry-run] [--json]`."""

    help = (
        "Remove what nothing shows: images that no product has shown for DAYS days, with their pictures and what\n"
        "versions said of them; what old model versions said so long ago; what networks saw in pictures that are not\n"
        "held any more, or for no version that is needed; files in the media storage that no picture names; sessions\n"
        "that have ended. The days begin when this command, or a worker, first sees that no\n"
        "product shows an image. What people said of pictures stays, as do the history of labels and what was said by\n"
        "the version in production, the two before it, one with an open run and one that a label names. Workers do\n"
        "the same by themselves, every CLEAN_EVERY_HOURS.\n\n"
        "Examples:\n"
        "  manage.py clean_catalog --dry-run\n"
        "  manage.py clean_catalog --older-than 0 --json\n\n"
        "Exit status: 0 done; 1 the database or the media storage refused a step, or interrupted; 2 bad usage."
    )
    shows_progress = True

    def add_arguments(self, parser: ArgumentParser) -> None:
        """Declare the command line."""
        parser.add_argument(
            "--older-than",
            type=_read_days,
            default=settings.CLEAN_OLDER_THAN_DAYS,
            metavar="DAYS",
            help="leave alone what was shown, said or written within the last DAYS (%(default)g)",
        )
        parser.add_argument("--dry-run", action="store_true", help="count what would be removed and remove nothing")

    def handle(self, *args: Any, older_than: float, dry_run: bool, **options: Any) -> None:
        """Clean, and report."""
        figures = Figures()
        try:
            self._clean(Terms(timedelta(days=older_than), dry_run), figures, options)
        except (DatabaseError, StorageError, KeyboardInterrupt) as error:
            reason = explain(error) if isinstance(error, DatabaseError) else str(error) or "interrupted"
            if figures != Figures() and not dry_run:
                stop = "" if reason.endswith((".", "?")) else "."
                reason += f"{stop} Removed so far: {figures.words}. Run the command again for the rest"
            raise CommandError(reason) from error
        verb = "Would remove" if dry_run else "Removed"
        result = {"dry_run": dry_run, "older_than_days": older_than, **asdict(figures)}
        text = f"{verb} what is at least {older_than:g} days old: {figures.words}."
        self.answer(result, f"Images that no product shows: {figures.unshown:,}. {text}", options)

    def _clean(self, terms: Terms, figures: Figures, options: dict[str, Any]) -> None:
        newest = Image.objects.order_by("-pk").values_list("pk", flat=True).first()
        totals = {"images": newest, "files": ALL_FOLDERS}
        for phase, places in groupby(clean_catalog(terms, figures=figures), key=itemgetter(0)):
            with self.show_progress(options, title=f"Cleaning {phase}", unit=UNITS[phase]) as report:
                for _, after in places:
                    report.update(after, totals.get(phase), note=f"{figures.images:,} images, {figures.files:,} files")

"""Compare the pictures of late with those that the version in production began with."""

from argparse import ArgumentParser, ArgumentTypeError
from datetime import datetime, time
from typing import Any

from django.core.management.base import CommandError
from django.utils import timezone
from django.utils.dateparse import parse_date, parse_datetime

from classifier.ml.judging.drift import LEAST_PICTURES, DriftInputError
from classifier.models import DriftCheck
from classifier.monitoring.api import DriftCheckSerializer
from classifier.monitoring.drift_page import describe_check, list_tests
from classifier.monitoring.services import check_drift
from classifier.monitoring.windows import WINDOW_PICTURES
from classifier.registry.selectors import NoActiveModelVersionError
from config.console import ReportingCommand, build_table

#: The exit status where there is drift.
DIFFERENT = 3


def read_window(text: str) -> int:
    """Return a number of pictures."""
    pictures = int(text)
    if not LEAST_PICTURES <= pictures <= 10_000_000:
        raise ArgumentTypeError(f"expected {LEAST_PICTURES} to 10000000 pictures; received {text}")
    return pictures


def read_date(text: str) -> datetime:
    """Return a day's beginning or a moment; without a time zone it is in that of the settings."""
    day = parse_date(text)
    moment = datetime.combine(day, time()) if day else parse_datetime(text)
    if moment is None:
        raise ArgumentTypeError(f"expected a date such as 2026-03-01 or 2026-03-01T12:00; received {text}")
    return timezone.make_aware(moment) if timezone.is_naive(moment) else moment


class Command(ReportingCommand):
    """`check_drift [--window N] [--since DATE] [--json]`."""

    help = (
        "Compare the newest pictures that the version in production labelled with the first that it did: what\n"
        "networks see in them, and the mix of groups. The check is stored. What differs is suspected, and an alarm\n"
        "once it differs again in pictures that came later. Different is not worse: it says nothing of how many\n"
        "labels are right.\n\n"
        "Examples:\n"
        "  manage.py check_drift\n"
        "  manage.py check_drift --window 2000 --json\n"
        "  manage.py check_drift --since 2026-03-01\n\n"
        "Exit status: 0 no drift; 1 there is nothing to compare; 2 bad usage; 3 the pictures differ."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        """Declare the command line."""
        parser.add_argument(
            "--window",
            type=read_window,
            metavar="N",
            help=f"the newest N pictures ({WINDOW_PICTURES}, or with --since all of them)",
        )
        parser.add_argument("--since", type=read_date, metavar="DATE", help="only pictures that were labelled since")

    def handle(self, *args: Any, window: int | None, since: datetime | None, **options: Any) -> None:
        """Check, report, and exit with 3 where there is drift."""
        try:
            check = check_drift(pictures=window, since=since)
        except (DriftInputError, NoActiveModelVersionError) as error:
            raise CommandError(f"{error}" if str(error).endswith(".") else f"{error}.") from error
        self._report(check, options)
        if check.is_different:
            raise CommandError("the pictures of late are different", returncode=DIFFERENT)

    def _report(self, check: DriftCheck, options: dict[str, Any]) -> None:
        rows = [(test.words, test.sentence, test.chance, test.effect) for test in list_tests(check)]
        headings = ("Test", "Says", "By chance", "Effect")
        text = build_table(f"Drift check {check.pk}", headings, rows, below=describe_check(check), words=2)
        self.answer(DriftCheckSerializer(check).data, text, options)

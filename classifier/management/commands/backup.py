"""Write a backup of the site into a folder."""

from argparse import ArgumentParser
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from django.contrib.sessions.models import Session

from classifier.management.backing_up import following, telling_errors
from classifier.models import PictureFeatures
from config.backups.services import create_backup
from config.console import ReportingCommand


class Command(ReportingCommand):
    """`backup FOLDER [--dated] [--media copy|link|list] [--without-features] [--json]`."""

    help = (
        "Write a backup into FOLDER, which must be empty or not there: the database as it is at one moment, the\n"
        "media storage, the artefacts, and their hashes; whole or not at all. Site and workers may go on meanwhile.\n"
        "Left out are the broker, explanations, which are made anew, and sessions. Keep SECRET_KEY and ARTEFACT_KEY\n"
        "elsewhere.\n\n"
        "Examples:\n"
        "  manage.py backup /backups/2026-12-01\n"
        "  manage.py backup /backups --dated\n"
        "  manage.py backup /backups/2026-12-01 --media link\n\n"
        "To check it: sha256sum --check SHA256SUMS in the folder, and likewise ../media.sha256 in its folder media.\n"
        "Exit status: 0 done; 1 nothing was written, and why; 2 bad usage."
    )
    shows_progress = True

    def add_arguments(self, parser: ArgumentParser) -> None:
        """Declare the command line."""
        parser.add_argument("folder", type=Path, metavar="FOLDER")
        parser.add_argument(
            "--dated", action="store_true", help="write a folder within FOLDER, named by the time (UTC)"
        )
        parser.add_argument(
            "--media",
            choices=["copy", "link", "list"],
            default="copy",
            help="copy pictures (default), give them a second name on the same disk, or list their hashes alone, "
            "for whoever copies them by other means",
        )
        parser.add_argument(
            "--without-features",
            action="store_true",
            help="leave out what networks saw in pictures; versions look again when labels are made anew",
        )

    def handle(self, *args: Any, folder: Path, dated: bool, media: str, without_features: bool, **options: Any) -> None:
        """Write the backup, and report."""
        if dated:
            folder /= f"{datetime.now(UTC):%Y-%m-%dT%H%M%SZ}"
        left_out = {"sessions": Session, **({"features": PictureFeatures} if without_features else {})}
        with telling_errors(), following(self, options) as tell:
            tables = [model._meta.db_table for model in left_out.values()]
            report = create_backup(folder, media=media, without=tables, left_out=left_out, tell=tell)
        text = (
            f"Backup of version {report.version} in {folder}: {report.tables:,} tables with {report.rows:,} rows, "
            f"{report.media:,} files of the media storage{' (listed alone)' if media == 'list' else ''}, "
            f"{report.artefacts:,} of artefacts. Left out: {', '.join(report.left_out)}."
        )
        self.answer(asdict(report), text, options)

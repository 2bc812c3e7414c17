"""Make a site of a backup."""

from argparse import ArgumentParser
from dataclasses import asdict
from pathlib import Path
from typing import Any

from classifier.management.backing_up import following, telling_errors
from config.accounts.models import Token
from config.backups.services import describe_backup, restore_backup
from config.console import ReportingCommand


class Command(ReportingCommand):
    """`restore FOLDER [--keep-tokens | --check] [--json]`."""

    help = (
        "Make a site of the backup in FOLDER: fill the empty database that DATABASE_URL names, MEDIA_ROOT and\n"
        "ARTEFACTS_DIR, and compare every table and file with what was saved. Every hash is checked before anything\n"
        "is written; a database that has tables, or that anybody works on, is refused, and so is a backup of a newer\n"
        "version. People sign in again afterwards, and tokens of programs end, since one that was revoked after the\n"
        "backup would be good again.\n\n"
        "Examples:\n"
        "  createdb restored && DATABASE_URL=postgres:///restored MEDIA_ROOT=/new/media manage.py restore FOLDER\n"
        "  manage.py restore FOLDER --check\n\n"
        "Exit status: 0 the site, or with --check the backup, is what was saved; 1 it is not, and why; 2 bad usage."
    )
    shows_progress = True

    def add_arguments(self, parser: ArgumentParser) -> None:
        """Declare the command line."""
        parser.add_argument("folder", type=Path, metavar="FOLDER")
        either = parser.add_mutually_exclusive_group()
        either.add_argument("--keep-tokens", action="store_true", help="let the tokens of programs go on")
        either.add_argument(
            "--check",
            action="store_true",
            help="check every hash, say what the backup has, and write nothing; any database will do, or none",
        )

    def handle(self, *args: Any, folder: Path, keep_tokens: bool, check: bool, **options: Any) -> None:
        """Restore, or check, and report."""
        with telling_errors(), following(self, options) as tell:
            if check:
                report = describe_backup(folder, tell=tell)
            else:
                report = restore_backup(folder, sign_ins=() if keep_tokens else (Token._meta.db_table,), tell=tell)
        text = (
            f"{'Checked' if check else 'Restored'} what version {report.version} saved in {folder}: "
            f"{report.tables:,} tables with {report.rows:,} rows, {report.media:,} files of the media storage, "
            f"{report.artefacts:,} of artefacts, all as they were. "
            f"Not in the backup: {', '.join(report.left_out)}."
        )
        if report.missing_migrations:
            text += f"\nThe backup is older than this version, by {len(report.missing_migrations)} migrations. "
            text += "Once it is restored: manage.py migrate" if check else "Run: manage.py migrate"
        self.answer(asdict(report), text, options)

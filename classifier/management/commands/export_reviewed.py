"""What people said of pictures, as a data set."""

from argparse import ArgumentParser
from collections import Counter
from pathlib import Path
from typing import Any

from django.core.management.base import CommandError
from django.db import DatabaseError

from catalog.pictures.storage import StorageError
from classifier.training.data_set import write_data_set
from config.console import ReportingCommand
from config.db.troubles import explain
from config.files import new_folder


class Command(ReportingCommand):
    """`export_reviewed DIR [--json]`."""

    help = (
        "Write the pictures that people labelled as a data set: DIR/PART/GROUP/HASH.jpg and so on, and\n"
        "labels.csv with path, group (none: none of the five), garment, title, country, split, sha256 and review.\n"
        "The split is the part that a picture and all that belongs to it fell into once and for ever: training,\n"
        "validation, calibration or test. Pictures in no part are left out. DIR must be new or empty; it appears\n"
        "when it is complete.\n\n"
        "Example:\n"
        "  manage.py export_reviewed reviewed && manage.py evaluate_classifier --catalogue reviewed --split test\n\n"
        "Exit status: 0 done; 1 failed, nothing is left behind; 2 bad usage."
    )
    shows_progress = True

    def add_arguments(self, parser: ArgumentParser) -> None:
        """Declare the command line."""
        parser.add_argument("folder", metavar="DIR", type=Path)

    def handle(self, **options: Any) -> None:
        """Write the data set and print how many pictures each part has; raises `CommandError`."""
        target: Path = options["folder"]
        if not target.parent.is_dir() or (target.exists() and (not target.is_dir() or any(target.iterdir()))):
            raise CommandError(f"expected a new or empty folder, received {target}", returncode=2)
        counts: Counter[str] = Counter()
        with self.show_progress(options, title="Export", unit="pictures") as progress:
            try:
                with new_folder(target) as folder:
                    for _ in write_data_set(folder, counts=counts):
                        progress.update(counts.total(), 0)
            except (StorageError, OSError) as error:
                raise CommandError(f"{target} cannot be written, nothing is left behind: {error}") from error
            except DatabaseError as error:
                raise CommandError(f"the database failed, nothing is left behind: {explain(error)}") from error
            except KeyboardInterrupt:
                raise CommandError("interrupted; nothing is left behind") from None
        document = {"output": str(target), "pictures": counts.total(), "parts": dict(sorted(counts.items()))}
        parts = ", ".join(f"{number:,} {part}" for part, number in sorted(counts.items()))
        self.answer(document, f"{counts.total():,} pictures{f': {parts}' if parts else ''}", options)

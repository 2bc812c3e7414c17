"""Bring the label of every product up to date at once."""

from argparse import ArgumentParser
from typing import Any

from django.core.management.base import CommandError
from django.db import DatabaseError

from catalog.labels import recount_tallies
from catalog.models import Product
from classifier.labels.walk import refresh_all_labels
from config.console import ReportingCommand
from config.db.troubles import explain


class Command(ReportingCommand):
    """`refresh_labels [--dry-run] [--json]`."""

    help = (
        "Look at every product and write the label that follows from its first picture, where the present one is\n"
        "another. Needed after another program has written into the catalogue: the workers find that by themselves,\n"
        "new products within a minute and everything else within an hour; this does it at once, and counts all labels\n"
        "anew. Nothing is fetched and no picture is classified.\n\n"
        "Examples:\n"
        "  manage.py refresh_labels\n"
        "  manage.py refresh_labels --dry-run --json\n\n"
        "Exit status: 0 done; 1 the database refused a step, or interrupted; 2 bad usage."
    )
    shows_progress = True

    def add_arguments(self, parser: ArgumentParser) -> None:
        """Declare the command line."""
        parser.add_argument("--dry-run", action="store_true", help="count the labels to change and write nothing")

    def handle(self, *args: Any, dry_run: bool, **options: Any) -> None:
        """Refresh, and say how many labels changed."""
        try:
            total = Product.objects.count()
            with self.show_progress(options, title="Refreshing", unit="products") as report:
                products, changed = refresh_all_labels(
                    dry_run=dry_run,
                    progress=lambda done, found: report.update(done, total, note=f"{found:,} changed"),
                )
            if not dry_run:
                recount_tallies()
        except DatabaseError as error:
            raise CommandError(f"{explain(error)} Labels up to there are written") from error
        except KeyboardInterrupt:
            raise CommandError("interrupted; run the command again for the rest") from None
        text = f"Looked at {products:,} products; {changed:,} labels {'would change' if dry_run else 'changed'}."
        self.answer({"dry_run": dry_run, "products": products, "changed": changed}, text, options)

"""Bring the label of every product up to date at once."""

import json
from argparse import ArgumentParser, RawDescriptionHelpFormatter
from typing import IO, Any, cast

from django.core.management.base import BaseCommand, CommandError
from django.db import DatabaseError

from catalog.models import Product
from classifier.labels.walk import refresh_all_labels
from config.console import ProgressReport


class Command(BaseCommand):
    """`refresh_labels [--dry-run] [--json]`."""

    help = (
        "Look at every product and write the label that follows from its first picture, where the present one is\n"
        "another. Needed after another program has written into the catalogue: the workers find that by themselves,\n"
        "new products within a minute and everything else within an hour; this does it at once. Nothing is fetched\n"
        "and no picture is classified.\n\n"
        "Examples:\n"
        "  manage.py refresh_labels\n"
        "  manage.py refresh_labels --dry-run --json\n\n"
        "Exit status: 0 done; 1 the database refused a step, or interrupted; 2 bad usage."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        """Declare the command line."""
        parser.formatter_class = RawDescriptionHelpFormatter
        parser.add_argument("--dry-run", action="store_true", help="count the labels to change and write nothing")
        parser.add_argument("--json", action="store_true", help="print the result as one JSON document")
        parser.add_argument("--no-progress", action="store_true", help="show no progress")

    def handle(self, *args: Any, dry_run: bool, **options: Any) -> None:
        """Refresh, and say how many labels changed."""
        shown = options["verbosity"] > 0 and not options["no_progress"]
        try:
            total = Product.objects.count()
            stream = cast(IO[str], self.stderr)
            with ProgressReport(stream, title="Refreshing", unit="products", enabled=shown) as report:
                products, changed = refresh_all_labels(
                    dry_run=dry_run,
                    progress=lambda done, found: report.update(done, total, note=f"{found:,} changed"),
                )
        except DatabaseError as error:
            raise CommandError(f"{error}. Labels up to there are written; run the command again") from error
        except KeyboardInterrupt:
            raise CommandError("interrupted; run the command again for the rest") from None
        if options["json"]:
            self.stdout.write(json.dumps({"dry_run": dry_run, "products": products, "changed": changed}))
        elif options["verbosity"]:
            verb = "would change" if dry_run else "changed"
            self.stdout.write(f"Looked at {products:,} products; {changed:,} labels {verb}.")

"""The command `import_catalog`."""

import io
import sys
import time
from argparse import ArgumentParser
from contextlib import ExitStack
from pathlib import Path
from typing import Any, cast

from django.core.management.base import CommandError
from django.db import DatabaseError

from catalog.interchange.importing import ImportReport, import_catalog
from catalog.interchange.observing import Observations
from catalog.interchange.reading import FORMATS, USUAL_COUNTRY, RefusedRows, read_records
from catalog.interchange.text_source import ENCODINGS, SourceError
from catalog.values import RecordError, clean_country
from config.console import ReportingCommand
from config.db.troubles import explain
from config.files import new_file, open_file


class Command(ReportingCommand):
    """Imports a catalogue file, JSON or CSV."""

    help = """\
Import products with their images and descriptions from JSON Lines, a JSON array, CSV or Shopify's export of products.

Separator, encoding and the names of columns are found, and said. A row that cannot be imported is reported with its
line; the rest is imported. Importing the same file again changes nothing, so an import that was interrupted is simply
started again.

  manage.py import_catalog catalogue.jsonl
  manage.py import_catalog catalogue.csv --dry-run
  manage.py import_catalog products_export.csv --format shopify --country de
  manage.py import_catalog catalogue.csv --refused refused.csv
  zcat catalogue.jsonl.gz | manage.py import_catalog - --format jsonl --json

Exit status: 0 done; 1 the file cannot be read or at least one row was refused; 2 bad usage."""
    shows_progress = True

    def add_arguments(self, parser: ArgumentParser) -> None:
        """Add the file and how to read it."""
        parser.add_argument("file", metavar="FILE", help="the catalogue file; - reads standard input")
        parser.add_argument("--format", choices=FORMATS, help="how FILE is written; by default what it looks like")
        parser.add_argument("--encoding", choices=ENCODINGS, help="the encoding of FILE; by default what it looks like")
        parser.add_argument(
            "--country", default=USUAL_COUNTRY, help="the country of texts where FILE names none (default: %(default)s)"
        )
        parser.add_argument(
            "--refused", metavar="FILE", help="write the rows that are refused, to correct and import them"
        )
        parser.add_argument("--dry-run", action="store_true", help="report what would be done and write nothing")

    def handle(self, **options: Any) -> None:
        """Import the file and print the report; raises `CommandError` where the exit status is 1."""
        started = time.monotonic()
        observations = Observations()
        try:
            clean_country(options["country"])
        except RecordError as error:
            raise CommandError(f"--country: {error}", returncode=2) from error
        try:
            with (
                ExitStack() as stack,
                _open(options["file"]) as stream,
                self.show_progress(options, title="Import", unit="products") as progress,
            ):

                def show(report: ImportReport) -> None:
                    rate = report.products / max(progress.seconds, 0.001)
                    note = f"{report.refused:,} rows refused, {rate:,.0f} a second"
                    progress.update(report.products, None, note=note)

                source = read_records(
                    stream,
                    name=options["file"],
                    format=options["format"] or "",
                    encoding=options["encoding"] or "",
                    country=options["country"],
                )
                refused = None
                if options["refused"]:
                    refused = RefusedRows(stack.enter_context(new_file(Path(options["refused"]))), source=source)
                    stack.callback(refused.close)
                report = import_catalog(
                    observations.watch(source) if options["dry_run"] else source,
                    dry_run=options["dry_run"],
                    progress=show,
                    refuse=refused.add if refused else None,
                )
        except OSError as error:
            name = error.filename or options["file"]
            raise CommandError(f"expected a readable file {name!r}: {error.strerror or error}") from error
        except SourceError as error:
            raise CommandError(f"{options['file']}: {error}") from error
        except DatabaseError as error:
            raise CommandError(
                f"the database refused a batch, the ones before it are imported: {explain(error)}"
            ) from error
        except KeyboardInterrupt:
            raise CommandError("interrupted; whole batches are imported, run the command again for the rest") from None
        seconds = time.monotonic() - started
        left_out = report.refused - len(report.errors)
        notes, warnings = [*source.notes, *observations.describe()], observations.warn()
        document = {
            "dry_run": report.dry_run,
            "read_as": source.words,
            "notes": notes,
            "warnings": warnings,
            "created": report.created,
            "changed": report.changed,
            "unchanged": report.unchanged,
            "refused": report.refused,
            "errors": [{"line": error.line, "message": error.message} for error in report.errors],
            "errors_left_out": left_out,
            "seconds": round(seconds, 3),
        }
        text = (
            f"{report.created:,} created, {report.changed:,} changed, {report.unchanged:,} unchanged, "
            f"{report.refused:,} rows refused in {seconds:.1f} s"
            + (" (dry run: nothing was written)" if report.dry_run else "")
        )
        if not options["json"]:
            self.stderr.write(f"read as {source.words}")
            for sentence in (*notes, *warnings):
                self.stderr.write(sentence)
            for row in report.errors:
                self.stderr.write(f"line {row.line}: {row.message}")
            if left_out:
                self.stderr.write(f"... and {left_out:,} more")
        self.answer(document, text, options)
        if report.refused:
            raise CommandError(f"{report.refused:,} rows were refused, the others imported")


def _open(name: str) -> io.BufferedReader:
    # Its declared type says less.
    return cast(io.BufferedReader, sys.stdin.buffer) if name == "-" else open_file(name)

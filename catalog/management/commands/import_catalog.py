"""The command `import_catalog`."""

import io
import json
import sys
import time
from argparse import ArgumentParser, RawDescriptionHelpFormatter
from typing import Any, cast

from django.core.management.base import BaseCommand, CommandError
from django.db import DatabaseError

from catalog.interchange.importing import ImportReport, import_catalog
from catalog.interchange.reading import FORMATS, SourceError, detect_format, read_records
from config.console import ProgressReport


class Command(BaseCommand):
    """Imports a catalogue file, JSON Lines or CSV."""

    help = """\
Import products with their images and descriptions from JSON Lines or CSV.

A row that cannot be imported is reported with its line; the rest is imported. Importing the same file again changes
nothing, so an import that was interrupted is simply started again.

  manage.py import_catalog catalogue.jsonl
  manage.py import_catalog catalogue.csv --dry-run
  zcat catalogue.jsonl.gz | manage.py import_catalog - --format jsonl --json

Exit status: 0 done; 1 the file cannot be read or at least one row was refused; 2 bad usage."""

    def add_arguments(self, parser: ArgumentParser) -> None:
        """Add the file and how to read it."""
        parser.formatter_class = RawDescriptionHelpFormatter
        parser.add_argument("file", metavar="FILE", help="the catalogue file; - reads standard input")
        parser.add_argument(
            "--format", choices=FORMATS, help="how FILE is written; by default its suffix says so, else its first byte"
        )
        parser.add_argument("--dry-run", action="store_true", help="report what would be done and write nothing")
        parser.add_argument("--json", action="store_true", help="print the result as one JSON document")
        parser.add_argument("--no-progress", action="store_true", help="print no progress")

    def handle(self, **options: Any) -> None:
        """Import the file and print the report; raises `CommandError` where the exit status is 1."""
        started = time.monotonic()
        try:
            with self._open(options["file"]) as stream, self._show_progress(options) as progress:

                def show(report: ImportReport) -> None:
                    rate = report.products / max(progress.seconds, 0.001)
                    note = f"{report.refused:,} rows refused, {rate:,.0f} a second"
                    progress.update(report.products, None, note=note)

                format = options["format"] or detect_format(options["file"], start=stream.peek(64))
                report = import_catalog(read_records(stream, format=format), dry_run=options["dry_run"], progress=show)
        except OSError as error:
            raise CommandError(f"expected a readable file {options['file']!r}: {error.strerror or error}") from error
        except SourceError as error:
            raise CommandError(f"{options['file']}: {error}") from error
        except DatabaseError as error:
            raise CommandError(
                f"the database refused a batch, the ones before it are imported; run the command again: {error}"
            ) from error
        except KeyboardInterrupt:
            raise CommandError("interrupted; whole batches are imported, run the command again for the rest") from None
        self._print(report, seconds=time.monotonic() - started, as_json=options["json"])
        if report.refused:
            raise CommandError(f"{report.refused:,} rows were refused, the others imported")

    def _show_progress(self, options: dict[str, Any]) -> ProgressReport:
        enabled = options["verbosity"] > 0 and not options["no_progress"]
        return ProgressReport(self.stderr, title="Import", unit="products", enabled=enabled)  # type: ignore[arg-type]

    def _open(self, name: str) -> io.BufferedReader:
        # Both are buffered readers; their declared types say less.
        return cast(io.BufferedReader, sys.stdin.buffer if name == "-" else open(name, "rb"))

    def _print(self, report: ImportReport, *, seconds: float, as_json: bool) -> None:
        left_out = report.refused - len(report.errors)
        if as_json:
            document = {
                "dry_run": report.dry_run,
                "created": report.created,
                "changed": report.changed,
                "unchanged": report.unchanged,
                "refused": report.refused,
                "errors": [{"line": error.line, "message": error.message} for error in report.errors],
                "errors_left_out": left_out,
                "seconds": round(seconds, 3),
            }
            self.stdout.write(json.dumps(document))
            return
        for error in report.errors:
            self.stderr.write(f"line {error.line}: {error.message}")
        if left_out:
            self.stderr.write(f"... and {left_out:,} more")
        self.stdout.write(
            f"{report.created:,} created, {report.changed:,} changed, {report.unchanged:,} unchanged, "
            f"{report.refused:,} rows refused in {seconds:.1f} s"
            + (" (dry run: nothing was written)" if report.dry_run else "")
        )

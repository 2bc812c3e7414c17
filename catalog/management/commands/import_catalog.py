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

_PLAIN_PROGRESS_SECONDS = 10.0
_TERMINAL_PROGRESS_SECONDS = 0.2


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

    def create_parser(self, prog_name: str, subcommand: str, **kwargs: Any) -> Any:
        """Return Django's parser, which keeps the lines of the help as they are written."""
        return super().create_parser(prog_name, subcommand, formatter_class=RawDescriptionHelpFormatter, **kwargs)

    def add_arguments(self, parser: ArgumentParser) -> None:
        """Add the file and how to read it."""
        parser.add_argument("file", metavar="FILE", help="the catalogue file; - reads standard input")
        parser.add_argument(
            "--format", choices=FORMATS, help="how FILE is written; by default its suffix says so, else its first byte"
        )
        parser.add_argument("--dry-run", action="store_true", help="report what would be done and write nothing")
        parser.add_argument("--json", action="store_true", help="print the result as one JSON document")
        parser.add_argument("--no-progress", action="store_true", help="print no progress")

    def handle(self, **options: Any) -> None:
        """Import the file and print the report; raises `CommandError` where the exit status is 1."""
        show_progress = not options["no_progress"] and options["verbosity"] > 0
        started = time.monotonic()
        try:
            with self._open(options["file"]) as stream:
                format = options["format"] or detect_format(options["file"], start=stream.peek(64))
                report = import_catalog(
                    read_records(stream, format=format),
                    dry_run=options["dry_run"],
                    progress=_Progress(self.stderr) if show_progress else None,
                )
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


class _Progress:
    """Writes how far the import is: one line that grows on a terminal, a plain line now and then elsewhere."""

    def __init__(self, stream: Any) -> None:
        self._stream = stream
        self._is_terminal = stream.isatty()
        self._interval = _TERMINAL_PROGRESS_SECONDS if self._is_terminal else _PLAIN_PROGRESS_SECONDS
        self._started = self._written = time.monotonic()

    def __call__(self, report: ImportReport) -> None:
        now = time.monotonic()
        if now - self._written < self._interval:
            return
        self._written = now
        rate = report.products / (now - self._started)
        line = f"{report.products:,} products, {report.refused:,} rows refused, {rate:,.0f} products a second"
        if self._is_terminal:
            self._stream.write(f"\r{line:<78}", ending="")
        else:
            self._stream.write(line)

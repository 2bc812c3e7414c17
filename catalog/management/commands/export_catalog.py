"""The command `export_catalog`."""

import sys
import time
from argparse import ArgumentParser
from collections.abc import Generator
from contextlib import closing
from pathlib import Path
from typing import Any

from django.core.files.storage import FileSystemStorage, Storage
from django.core.management.base import CommandError
from django.db import DatabaseError
from django.http import QueryDict
from rest_framework.exceptions import ValidationError

from catalog.interchange.exporting import ProductExportQuery, describe_refusals, encode_export, list_exported_pictures
from catalog.interchange.picture_files import MANIFEST_NAME, write_folder
from catalog.interchange.picture_mirror import MirrorReport, is_begun, update_pictures
from catalog.interchange.writing import ExportReport
from catalog.pictures.storage import StorageError
from config.console import ReportingCommand
from config.db.troubles import explain
from config.files import new_file, new_folder
from config.web.queries import check_parameters

FORMATS = ("jsonl", "csv", "pictures")
STANDARD_OUTPUT = "-"


class Command(ReportingCommand):
    """Exports the products that the filters choose: JSON Lines, CSV, or their pictures."""

    help = """\
Export the products that the filters choose, all of them without one. The filters are those of the API.

jsonl and csv hold every image and text and the current label of each product; import_catalog reads both back and
reads past the labels. pictures writes the first picture of each product into one folder for each group, with
manifest.jsonl (hash, label, model version, source URL); DIR must be new or empty, and a name ending in .zip makes an
archive instead. A file or folder appears when it is complete, or not at all. With --update a folder that an earlier
call wrote is brought up to date: pictures are added, move to another group's folder, or go; each file is whole at any
time, the manifest too. update_outputs does the same in a storage.

  manage.py export_catalog > catalogue.jsonl
  manage.py export_catalog --format csv --group Footwear --status needs_review --output review.csv
  manage.py export_catalog --format pictures --min-confidence 0.9 --output pictures --json
  manage.py export_catalog --format pictures --status labelled --status reviewed --output pictures --update

Exit status: 0 done; 1 failed, nothing is left behind; 2 bad usage."""
    shows_progress = True

    def add_arguments(self, parser: ArgumentParser) -> None:
        """Add the format, the filters of the API, and where the export goes."""
        parser.add_argument("--format", choices=FORMATS, default="jsonl", help="what is written (default: jsonl)")
        filters = parser.add_argument_group("filters")
        for name, parameter in ProductExportQuery().fields.items():
            filters.add_argument(
                f"--{name.replace('_', '-')}",
                action="append",
                metavar=name.rpartition("_")[2].upper(),
                help=str(parameter.help_text),
            )
        parser.add_argument(
            "--output",
            metavar="FILE|DIR|-",
            default=STANDARD_OUTPUT,
            help="a file, a folder for pictures, or - for standard output (default)",
        )

        parser.add_argument(
            "--update", action="store_true", help="bring the pictures of an earlier call up to date, in one place"
        )

    def handle(self, **options: Any) -> None:
        """Export and print what was done; raises `CommandError` where the exit status is not 0."""
        query = _build_query(options)
        if options["update"]:
            self.update(query, options)
            return
        output: str = options["output"]
        suffix = "zip" if options["format"] == "pictures" else options["format"]
        is_folder = suffix == "zip" and not output.endswith(".zip")
        _check_output(output, is_folder=is_folder, as_json=options["json"])
        report = ExportReport()
        started = time.monotonic()
        with self.show_progress(options, title="Export", unit="products") as progress:
            try:
                total = query.find_products()[0].count() if progress.enabled else 0
                with closing(_write(query, output=output, suffix=suffix, is_folder=is_folder, report=report)) as steps:
                    for _ in steps:
                        rate = report.products / max(progress.seconds, 0.001)
                        progress.update(report.products, total, note=f"{rate:,.0f} a second")
            except BrokenPipeError:
                # Whoever read our output has seen enough. Python would complain again when it closes the pipe.
                sys.stdout = None
                raise CommandError("the reader of standard output went away") from None
            except OSError as error:
                raise CommandError(f"{output} cannot be written, nothing is left behind: {error}") from error
            except DatabaseError as error:
                raise CommandError(f"the database failed, nothing is left behind: {explain(error)}") from error
            except KeyboardInterrupt:
                raise CommandError("interrupted; nothing is left behind") from None
        seconds = time.monotonic() - started
        document: dict[str, Any] = {"output": output, "products": report.products, "seconds": round(seconds, 3)}
        text = f"{report.products:,} products exported in {seconds:.1f} s"
        if suffix == "zip":
            document |= {"files": report.files, "missing": report.missing}
            text += f": {report.files:,} pictures, {report.missing:,} products whose picture we do not hold"
        if suffix == "csv":
            document |= {"images_left_out": report.images_left_out}
        if report.images_left_out:
            text += f"; {report.images_left_out:,} without their images, whose names no CSV cell can hold"
        if suffix != "zip":
            document |= {"refused": report.refused, "reasons": report.reasons}
        if report.refused:
            text += f"; {report.refused:,} have values that an import refuses"
        if not options["json"]:
            for reason in report.reasons:
                self.stderr.write(reason)
        if output == STANDARD_OUTPUT:
            self.stderr.write(text)
        else:
            self.answer(document, text, options)

    def update(self, query: ProductExportQuery, options: dict[str, Any]) -> None:
        """Bring pictures up to date and print what that took; raises `CommandError`."""
        target = _find_target(options)
        report = MirrorReport()
        products, ordering = query.find_products()
        with self.show_progress(options, title="Update", unit="products") as progress:
            total = products.count() if progress.enabled else 0
            try:
                batches = list_exported_pictures(products, ordering=ordering)
                for _ in update_pictures(batches, target=target, report=report):
                    progress.update(report.products, total)
            except StorageError as error:
                raise CommandError(f"{error}; the next update goes on from here") from error
            except DatabaseError as error:
                raise CommandError(
                    f"the database failed: {explain(error)}; the next update goes on from here"
                ) from error
            except KeyboardInterrupt:
                raise CommandError("interrupted; the next update goes on from here") from None
        names = ("products", "added", "moved", "removed", "kept", "missing")
        document = {name: getattr(report, name) for name in names}
        text = (
            f"{report.products:,} products: {report.added:,} pictures added, {report.moved:,} moved, "
            f"{report.removed:,} removed, {report.kept:,} as they were; of {report.missing:,} we hold none"
        )
        self.answer(document, text, options)


def _find_target(options: dict[str, Any]) -> Storage:
    """Return where an update writes: a folder that is new, empty, has a manifest, or has what an update began."""
    if options["format"] != "pictures":
        raise CommandError("--update needs --format pictures", returncode=2)
    if options["output"] == STANDARD_OUTPUT:
        raise CommandError("--update needs --output with a folder; update_outputs writes to a storage", returncode=2)
    folder = Path(options["output"])
    if not folder.parent.is_dir() or (folder.exists() and not folder.is_dir()):
        raise CommandError(f"expected --output to be a folder in one that is there, received {folder}", returncode=2)
    if folder.is_dir() and not (folder / MANIFEST_NAME).is_file() and not is_begun(folder):
        raise CommandError(f"expected a folder that is empty or has {MANIFEST_NAME}, received {folder}", returncode=2)
    return FileSystemStorage(location=folder)


def _build_query(options: dict[str, Any]) -> ProductExportQuery:
    parameters = QueryDict(mutable=True)
    names: list[str] = list(ProductExportQuery().fields)
    for name in names:
        if options[name] is not None:
            given = options[name]
            parameters.setlist(name, [given] if isinstance(given, str) else given)
    try:
        return check_parameters(ProductExportQuery, parameters)
    except ValidationError as error:
        refused = [f"--{name.replace('_', '-')}: {text}" for name, text in describe_refusals(error).items()]
        raise CommandError("; ".join(refused), returncode=2) from error


def _check_output(output: str, *, is_folder: bool, as_json: bool) -> None:
    if output == STANDARD_OUTPUT:
        if is_folder:
            raise CommandError("pictures need --output with a folder or a name ending in .zip", returncode=2)
        if as_json:
            raise CommandError("--json needs --output with a file; both would be written to one place", returncode=2)
        return
    path = Path(output)
    if not path.parent.is_dir():
        raise CommandError(f"expected --output in a folder that is there, received {output}", returncode=2)
    if is_folder and path.exists() and (not path.is_dir() or any(path.iterdir())):
        raise CommandError(f"expected a new or empty folder for pictures, received {output}", returncode=2)
    if not is_folder and path.is_dir():
        raise CommandError(f"expected a file for --output, received the folder {output}", returncode=2)


def _write(
    query: ProductExportQuery, *, output: str, suffix: str, is_folder: bool, report: ExportReport
) -> Generator[None]:
    """Write the export to where it goes, and yield now and then."""
    if is_folder:
        products, ordering = query.find_products()
        with new_folder(Path(output)) as folder:
            yield from write_folder(list_exported_pictures(products, ordering=ordering), folder=folder, report=report)
        return
    parts = encode_export(query, suffix=suffix, report=report)
    if output == STANDARD_OUTPUT:
        for part in parts:
            sys.stdout.buffer.write(part)
            yield
        sys.stdout.buffer.flush()
        return
    with new_file(Path(output), durable=True) as file:
        for part in parts:
            file.write(part)
            yield

"""Measure artefacts on the test pictures, and write the report on all that were measured."""

import os
from argparse import ArgumentParser
from pathlib import Path
from typing import Any

from django.conf import settings
from django.core.management.base import CommandError
from rich.console import RenderableType

from classifier.ml.artefacts import ArtefactError, load_manifest, write_model_card
from classifier.ml.data.dataset import DatasetError, load_fashion_mnist
from classifier.ml.judging.published import CELLS
from classifier.ml.reports.documents import (
    StoredDocumentError,
    is_recipe_name,
    list_records,
    load_document,
    load_tried,
    save_document,
)
from classifier.ml.reports.experiments import Experiment, measure_experiment
from classifier.ml.reports.experiments_report import build_sections
from classifier.ml.reports.sections import write_markdown
from config.console import ReportingCommand, build_table
from config.files import write_file

REPORT_NAME = "experiments.md"
RECORDS_NAME = "experiments"
HEAD = """\
# Experiments

Written by `manage.py report_experiments` from the records in `{folder}/`; the site shows the same under Experiments."""
EMPTY = "There is no record yet: `manage.py report_experiments ARTEFACT_DIR` measures an artefact."


class Command(ReportingCommand):
    """`report_experiments [ARTEFACT_DIR...] [--output DIR] [--data-dir DIR] [--model-card] [--json]`."""

    help = (
        "Measure artefacts on the test pictures of Fashion-MNIST, store one record for each recipe, and write the\n"
        "report on all stored records. Without ARTEFACT_DIR nothing is measured: the same records give the same\n"
        "report. An artefact takes about half a minute on two cores. Nothing that is found changes an artefact.\n\n"
        "Examples:\n"
        "  manage.py report_experiments\n"
        "  manage.py report_experiments classifier/artefacts/default var/artefacts/frozen\n"
        "  manage.py report_experiments classifier/artefacts/default --output report --json"
    )
    shows_progress = True

    def add_arguments(self, parser: ArgumentParser) -> None:
        """Declare the command line."""
        parser.add_argument("folders", nargs="*", type=Path, metavar="ARTEFACT_DIR", help="an artefact to measure")
        parser.add_argument(
            "--output",
            type=Path,
            metavar="DIR",
            help=f"gets {REPORT_NAME} and the folder {RECORDS_NAME} with the records (default: docs, and the records "
            "that come with the product)",
        )
        parser.add_argument("--data-dir", type=Path, metavar="DIR", help="the folder with the four Fashion-MNIST files")
        parser.add_argument(
            "--model-card", action="store_true", help="also write MODEL_CARD.md of each ARTEFACT_DIR anew"
        )

    def handle(self, *args: Any, **options: Any) -> None:
        """Measure, store, and write the report."""
        output: Path = options["output"] or Path(settings.BASE_DIR) / "docs"
        folder = output / RECORDS_NAME if options["output"] else Path(settings.EXPERIMENTS_DIR)
        if output.exists() and not output.is_dir():
            raise CommandError(f"expected a folder for --output, received the file {output}", returncode=2)
        try:
            self._check_folders(options)
            # All are measured before any is stored: a failure leaves the records of one measurement, not of two.
            measured = self._measure(options)
            for name, experiment in measured.items():
                save_document(folder / f"{name}.json", document=experiment.record, files=experiment.files)
            records = [load_document(path) for path in list_records(folder)]
            sections = build_sections(records, tried=load_tried(folder))
            place = Path(os.path.relpath(folder, output)).as_posix()
            head = HEAD.format(folder=place) + ("" if sections else f"\n\n{EMPTY}")
            output.mkdir(parents=True, exist_ok=True)
            report = output / REPORT_NAME
            write_file(report, write_markdown(head, sections, folder=place).encode())
            for artefact in options["folders"] if options["model_card"] else ():
                write_model_card(artefact)
        except StoredDocumentError as error:
            raise CommandError(f"{error}. Measure its artefact again, or remove it; no report was written") from error
        except (ArtefactError, DatasetError, OSError) as error:
            raise CommandError(f"{error}. No report was written") from error
        except KeyboardInterrupt:
            raise CommandError("interrupted; no report was written") from None
        self.answer(
            {"report": str(report), "measured": list(measured), "experiments": records},
            build_records_table(records, ending=f"{len(measured)} measured, {len(records)} in the report: {report}"),
            options,
        )

    def _check_folders(self, options: dict[str, Any]) -> None:
        """Refuse what would be noticed only after minutes of measuring."""
        folders: list[Path] = options["folders"]
        if not folders and (options["data_dir"] or options["model_card"]):
            raise CommandError("--data-dir and --model-card need an ARTEFACT_DIR", returncode=2)
        recipes: dict[str, Path] = {}
        for folder in folders:
            if not folder.is_dir():
                raise CommandError(f"expected the folder of an artefact, found none at {folder}", returncode=2)
            name = str(load_manifest(folder).recipe.get("name"))
            if not is_recipe_name(name):
                raise CommandError(
                    f"expected a recipe name of lower case letters, digits and hyphens in {folder}, received {name!r}",
                    returncode=2,
                )
            if name in recipes:
                raise CommandError(
                    f"expected one artefact of each recipe, received {recipes[name]} and {folder} of {name}",
                    returncode=2,
                )
            recipes[name] = folder

    def _measure(self, options: dict[str, Any]) -> dict[str, Experiment]:
        """Return what was measured, by recipe."""
        measured: dict[str, Experiment] = {}
        if not options["folders"]:
            return measured
        dataset = load_fashion_mnist(options["data_dir"])
        for folder in options["folders"]:
            with self.show_progress(options, title=f"Measuring {folder.name}", unit="steps") as report:
                experiment = measure_experiment(folder, dataset=dataset, progress=report.update)
            measured[experiment.record["recipe"]["name"]] = experiment
        return measured


def build_records_table(records: list[dict[str, Any]], *, ending: str) -> RenderableType:
    """A row of figures for each record."""
    headings = ("Recipe", "Groups", "Garments", "Calibration", "argmax", "balanced", "MB", "Seconds")
    rows = [
        (
            record["recipe"]["name"],
            f"{record['metrics']['accuracy']:.4f}",
            f"{record['metrics']['garment_accuracy']:.4f}",
            f"{record['metrics']['expected_calibration_error']:.4f}",
            str(record["higher_cells"]["argmax"]["all"]),
            str(record["higher_cells"]["balanced"]["all"]),
            f"{record['costs']['artefact_bytes'] / 1e6:.1f}",
            f"{record['costs']['seconds']:.2f}",
        )
        for record in records
    ]
    title, below = f"Published cells above ours: of {CELLS}", f"{ending}; see the page Experiments"
    return build_table(title, headings, rows, below=below)

"""Measure artefacts on the test pictures, and write the report on all that were measured."""

import json
from argparse import ArgumentParser, RawDescriptionHelpFormatter
from pathlib import Path
from typing import IO, Any, cast

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError
from rich.console import Console
from rich.table import Table

from classifier.ml.artefacts import ArtefactError, load_manifest, write_model_card
from classifier.ml.data.dataset import DatasetError, FashionMnist, load_fashion_mnist
from classifier.ml.judging.published import CELLS
from classifier.ml.reports.experiments import Experiment, measure_experiment
from classifier.ml.reports.experiments_markdown import write_markdown
from classifier.ml.reports.experiments_report import build_sections
from classifier.ml.reports.stored_documents import StoredDocument, StoredDocumentError, replace_file
from classifier.ml.reports.stored_experiments import (
    is_recipe_name,
    list_experiment_names,
    load_experiment,
    load_tried,
    save_experiment,
)
from config.console import ProgressReport

REPORT_NAME = "experiments.md"
RECORDS_NAME = "experiments"


class Command(BaseCommand):
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

    def add_arguments(self, parser: ArgumentParser) -> None:
        """Declare the command line."""
        parser.formatter_class = RawDescriptionHelpFormatter
        parser.add_argument("folders", nargs="*", type=Path, metavar="ARTEFACT_DIR", help="an artefact to measure")
        parser.add_argument(
            "--output",
            type=Path,
            metavar="DIR",
            help=f"gets {REPORT_NAME} and the folder {RECORDS_NAME} with the records (default: docs)",
        )
        parser.add_argument("--data-dir", type=Path, metavar="DIR", help="the folder with the four Fashion-MNIST files")
        parser.add_argument(
            "--model-card", action="store_true", help="also write MODEL_CARD.md of each ARTEFACT_DIR anew"
        )
        parser.add_argument("--json", action="store_true", help="print all records as one JSON document")
        parser.add_argument("--no-progress", action="store_true", help="show no progress")

    def handle(self, *args: Any, **options: Any) -> None:
        """Measure, store, and write the report."""
        output: Path = options["output"] or Path(settings.EXPERIMENTS_DIR).parent
        records = output / RECORDS_NAME
        if output.exists() and not output.is_dir():
            raise CommandError(f"expected a folder for --output, received the file {output}", returncode=2)
        try:
            self._check_folders(options)
            # All are measured before any is stored: a failure leaves the records of one measurement, not of two.
            measured = self._measure(options)
            for experiment in measured:
                save_experiment(records, record=experiment.record, files=experiment.files)
            stored = [load_experiment(records, recipe=name) for name in list_experiment_names(records)]
            sections = build_sections([document.document for document in stored], tried=load_tried(records))
            output.mkdir(parents=True, exist_ok=True)
            report = write_markdown(sections, folder=RECORDS_NAME)
            replace_file(output / REPORT_NAME, content=report.encode())
            if options["model_card"]:
                for folder in options["folders"]:
                    write_model_card(folder)
        except StoredDocumentError as error:
            raise CommandError(f"{error}. Measure its artefact again, or remove it; no report was written") from error
        except (ArtefactError, DatasetError, OSError) as error:
            raise CommandError(f"{error}. No report was written") from error
        except KeyboardInterrupt:
            raise CommandError("interrupted; no report was written") from None
        self._answer(stored, measured=measured, report=output / REPORT_NAME, options=options)

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

    def _measure(self, options: dict[str, Any]) -> list[Experiment]:
        folders: list[Path] = options["folders"]
        if not folders:
            return []
        dataset = load_fashion_mnist(options["data_dir"])
        shown = options["verbosity"] > 0 and not options["no_progress"]
        return [self._measure_one(folder, dataset=dataset, shown=shown) for folder in folders]

    def _measure_one(self, folder: Path, *, dataset: FashionMnist, shown: bool) -> Experiment:
        title = f"Measuring {folder.name}"
        with ProgressReport(cast(IO[str], self.stderr), title=title, unit="steps", enabled=shown) as report:
            return measure_experiment(
                folder,
                dataset=dataset,
                progress=lambda done, total, note: report.update(done, total, note=note),
            )

    def _answer(
        self, stored: list[StoredDocument], *, measured: list[Experiment], report: Path, options: dict[str, Any]
    ) -> None:
        records = [document.document for document in stored]
        if options["json"]:
            names = [experiment.record["recipe"]["name"] for experiment in measured]
            self.stdout.write(json.dumps({"report": str(report), "measured": names, "experiments": records}))
            return
        if not options["verbosity"]:
            return
        table = Table(box=None, pad_edge=False, header_style="bold", title=f"Published cells above ours: of {CELLS}")
        for heading in ("Recipe", "Groups", "Garments", "Calibration", "argmax", "balanced", "MB", "Seconds"):
            table.add_column(heading, justify="left" if heading == "Recipe" else "right")
        for record in records:
            metrics, costs, higher = record["metrics"], record["costs"], record["higher_cells"]
            table.add_row(
                record["recipe"]["name"],
                f"{metrics['accuracy']:.4f}",
                f"{metrics['garment_accuracy']:.4f}",
                f"{metrics['expected_calibration_error']:.4f}",
                str(higher["argmax"]["all"]),
                str(higher["balanced"]["all"]),
                f"{costs['artefact_bytes'] / 1e6:.1f}",
                f"{costs['seconds']:.2f}",
            )
        console = Console(file=cast(IO[str], self.stdout), highlight=False, markup=False, width=100)
        if records:
            console.print(table)
        console.print(f"{len(measured)} measured, {len(records)} in the report: {report}; see the page Experiments")

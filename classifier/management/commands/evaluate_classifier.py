"""Measure a classifier on the test pictures of Fashion-MNIST, or on labelled pictures from disk."""

import csv
from argparse import ArgumentParser
from io import TextIOWrapper
from pathlib import Path
from typing import Any

from django.core.management.base import CommandError
from rich.console import RenderableType

from classifier.management.artefact_choice import choose_artefact
from classifier.management.commands.classify import decode_file
from classifier.ml import pipeline
from classifier.ml.artefacts import ArtefactError
from classifier.ml.data.dataset import DatasetError
from classifier.ml.judging.evaluation import EvaluationReport
from classifier.ml.labels import GROUPS
from classifier.ml.types import Picture
from classifier.ml.words import percent
from config.console import ReportingCommand, build_table
from config.files import open_file

LABELS_FILE = "labels.csv"


class Command(ReportingCommand):
    """`evaluate_classifier [--model-version ID] [--data-dir DIR] [--pictures DIR] [--split NAME] [--json]`."""

    help = (
        "Measure accuracy, the published tables' figures, calibration and speed.\n\n"
        "Examples:\n"
        "  manage.py evaluate_classifier\n"
        "  manage.py evaluate_classifier --model-version 3 --json\n"
        "  manage.py evaluate_classifier --pictures photos --split validation\n\n"
        "Without --model-version the one in production is measured; without one, or without a database, the one that\n"
        "comes with the product."
    )
    shows_progress = True

    def add_arguments(self, parser: ArgumentParser) -> None:
        """Declare the command line."""
        parser.add_argument("--model-version", type=int, metavar="ID", help="the model version to measure")
        parser.add_argument("--data-dir", type=Path, metavar="DIR", help="the folder with the four Fashion-MNIST files")
        parser.add_argument(
            "--pictures", type=Path, metavar="DIR", help=f"measure on these pictures; {LABELS_FILE} has path,group"
        )
        parser.add_argument("--split", help=f"only the rows of {LABELS_FILE} with this value in the column split")

    def handle(self, *args: Any, **options: Any) -> None:
        """Measure and print the report."""
        chosen = choose_artefact(options["model_version"])
        if options["split"] and not options["pictures"]:
            raise CommandError("--split needs --pictures", returncode=2)
        try:
            if options["pictures"]:
                pictures, groups = self._read_pictures(options)
                report = pipeline.evaluate_pictures(
                    chosen.folder,
                    pictures=pictures,
                    groups=groups,
                    manifest_sha256=chosen.manifest_sha256,
                    key=chosen.key,
                )
            else:
                report = pipeline.evaluate(
                    chosen.folder,
                    data_dir=options["data_dir"],
                    manifest_sha256=chosen.manifest_sha256,
                    key=chosen.key,
                )
        except (ArtefactError, DatasetError) as error:
            raise CommandError(str(error)) from error
        except KeyboardInterrupt:
            raise CommandError("interrupted") from None
        self.answer(report.to_json(), build_report_table(report), options)

    def _read_pictures(self, options: dict[str, Any]) -> tuple[list[Picture], list[int]]:
        rows = read_labels(options["pictures"], split=options["split"])
        pictures, groups = [], []
        with self.show_progress(options, title="Reading", unit="pictures") as shown:
            for index, (path, group) in enumerate(rows):
                row, picture = decode_file(str(path))
                if picture is None:
                    self.stderr.write(f"{path}: {row.error}, left out")
                else:
                    pictures.append(picture)
                    groups.append(group)
                shown.update(index + 1, len(rows))
        if not pictures:
            raise CommandError(f"none of the {len(rows)} pictures in {options['pictures']} could be read")
        return pictures, groups


def build_report_table(report: EvaluationReport) -> RenderableType:
    """The figures of the report for people."""
    metrics = report.metrics
    title = f"{report.model_version}, recall / precision / negative predictive value"
    rows = [
        (
            name,
            *(
                f"{scores.recall:.3f} / {scores.precision:.3f} / {scores.negative_predictive_value:.3f}"
                for scores in (metrics.argmax[name], metrics.balanced[name])
            ),
        )
        for name in GROUPS
    ]
    garments = "" if metrics.garment_accuracy is None else f", over garments {metrics.garment_accuracy:.4f}"
    right = percent(metrics.accuracy_of_answered if metrics.answered else None, digits=2)
    rate = metrics.images / report.seconds
    return build_table(
        title,
        ("Group", "argmax", "balanced"),
        rows,
        words=3,
        below=f"{metrics.images} pictures: accuracy over groups {metrics.accuracy:.4f}{garments}, "
        f"balanced {metrics.balanced_accuracy:.4f}, macro F1 {metrics.macro_f1:.4f}\n"
        f"Calibration error {metrics.expected_calibration_error:.4f}; "
        f"answers {metrics.answered:.1%} of the pictures, {right} of the answers right\n"
        f"{report.parameters:,} parameters, {report.artefact_bytes / 1e6:.1f} MB, "
        f"{report.seconds:.2f} s ({rate:,.0f} pictures a second)",
    )


def read_labels(folder: Path, *, split: str | None) -> list[tuple[Path, int]]:
    """The pictures that the folder's labels.csv lists, with the index of each one's group.

    Raises `CommandError` for a missing file or column, an unknown group, a path out of the folder, or no row.
    """
    source = folder / LABELS_FILE
    rows = []
    try:
        with TextIOWrapper(open_file(source), encoding="utf-8", newline="") as file:
            reader = csv.DictReader(file)
            needed = {"path", "group"} | ({"split"} if split else set())
            if not needed <= set(reader.fieldnames or ()):
                raise CommandError(f"{source}: expected the columns {', '.join(sorted(needed))}")
            for number, row in enumerate(reader, start=2):
                if split and row["split"] != split:
                    continue
                path = folder / row["path"]
                if row["group"] not in GROUPS or not path.resolve().is_relative_to(folder.resolve()):
                    raise CommandError(
                        f"{source}, line {number}: expected a path in the folder and a group out of "
                        f"{', '.join(GROUPS)}, received {row['path']!r}, {row['group']!r}"
                    )
                rows.append((path, GROUPS.index(row["group"])))
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise CommandError(f"{source} cannot be read: {error}") from error
    if not rows:
        raise CommandError(f"{source}: expected at least one picture{f' with split {split}' if split else ''}")
    return rows

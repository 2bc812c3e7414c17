"""Measure a classifier on the test pictures of Fashion-MNIST, or on labelled pictures or products from disk."""

import time
from argparse import ArgumentParser
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from django.core.management.base import CommandError
from rich.console import RenderableType

from classifier.management.artefact_choice import ChosenArtefact, choose_artefact
from classifier.management.commands.classify import decode_file
from classifier.management.labelled_products import LABELS_FILE, LabelledProduct, read_labels
from classifier.ml import pipeline
from classifier.ml.artefacts import ArtefactError
from classifier.ml.data.dataset import DatasetError
from classifier.ml.inference import BATCH_SIZE, Classifier
from classifier.ml.judging.catalogues import TRUE, Answer, judge_answers
from classifier.ml.judging.evaluation import EvaluationReport, measure_accuracy
from classifier.ml.judging.published import MEASURES
from classifier.ml.labels import GROUPS
from classifier.ml.reports.evaluation_report import WAYS, list_figures, write_wrong_titles
from classifier.ml.types import Picture, Prediction
from classifier.ml.words import write_fraction, write_known, write_share
from classifier.reports.evaluations import answer_product, judge_wrong_titles, learn_titles, save_evaluation
from config.console import ProgressReport, ReportingCommand, build_table


class Command(ReportingCommand):
    """`evaluate_classifier [--model-version ID] [--data-dir DIR | --pictures DIR | --catalogue DIR] [--split NAME]`."""

    help = (
        "Measure accuracy, the published tables' figures, calibration and speed.\n\n"
        "Examples:\n"
        "  manage.py evaluate_classifier\n"
        "  manage.py evaluate_classifier --model-version 3 --json\n"
        "  manage.py evaluate_classifier --pictures photos --split validation\n"
        "  manage.py evaluate_classifier --catalogue shop --split validation --wrong-titles 20\n\n"
        "With --catalogue the whole decision is measured, as it labels products, and things that are none of the five\n"
        "groups may be among them. Where there are titles, twice: by pictures alone, and as where titles have a vote.\n"
        "With --wrong-titles each garment also gets the title of a product of another group, once in each turn.\n"
        "The page Evaluations shows the result.\n"
        "Without --model-version the one in production is measured; without one, or without a database, the one that\n"
        "comes with the product."
    )
    shows_progress = True

    def add_arguments(self, parser: ArgumentParser) -> None:
        """Declare the command line."""
        parser.add_argument("--model-version", type=int, metavar="ID", help="the model version to measure")
        measured = parser.add_mutually_exclusive_group()
        measured.add_argument(
            "--data-dir", type=Path, metavar="DIR", help="the folder with the four Fashion-MNIST files"
        )
        measured.add_argument(
            "--pictures", type=Path, metavar="DIR", help=f"measure on these pictures; {LABELS_FILE} has path,group"
        )
        measured.add_argument(
            "--catalogue",
            type=Path,
            metavar="DIR",
            help=f"measure labels of these products; {LABELS_FILE} has path,group and may have title,country; the "
            "group none is none of the five",
        )
        parser.add_argument("--wrong-titles", type=int, metavar="TURNS", help="with --catalogue: so many turns")
        parser.add_argument("--seed", type=int, default=1, help="which wrong titles (default 1)")
        parser.add_argument("--split", help=f"only the rows of {LABELS_FILE} with this value in the column split")

    def handle(self, *args: Any, **options: Any) -> None:
        """Measure and print the report."""
        chosen = choose_artefact(options["model_version"])
        if options["split"] and not (options["pictures"] or options["catalogue"]):
            raise CommandError("--split needs --pictures or --catalogue", returncode=2)
        if options["wrong_titles"] is not None and (options["wrong_titles"] < 1 or not options["catalogue"]):
            raise CommandError("--wrong-titles needs --catalogue and at least one turn", returncode=2)
        try:
            if options["catalogue"]:
                self._evaluate_catalogue(chosen, options)
                return
            report = self._evaluate(chosen, options)
        except (ArtefactError, DatasetError) as error:
            raise CommandError(str(error)) from error
        except KeyboardInterrupt:
            raise CommandError("interrupted") from None
        self.answer(report.to_json(), build_report_table(report), options)

    def _evaluate(self, chosen: ChosenArtefact, options: dict[str, Any]) -> EvaluationReport:
        if not options["pictures"]:
            return pipeline.evaluate(
                chosen.folder,
                data_dir=options["data_dir"],
                manifest_sha256=chosen.manifest_sha256,
                key=chosen.key,
            )
        products = read_labels(options["pictures"], groups=GROUPS, split=options["split"])
        pictures, groups = [], []
        with self.show_progress(options, title="Reading", unit="pictures") as shown:
            for product, picture in self._read_pictures(products, shown=shown, done=0, total=len(products)):
                pictures.append(picture)
                groups.append(GROUPS.index(product.group))
        if not pictures:
            raise CommandError(f"none of the {len(products)} pictures in {options['pictures']} could be read")
        return pipeline.evaluate_pictures(
            chosen.folder,
            pictures=pictures,
            groups=groups,
            manifest_sha256=chosen.manifest_sha256,
            key=chosen.key,
        )

    def _evaluate_catalogue(self, chosen: ChosenArtefact, options: dict[str, Any]) -> None:
        """Measure the labels of products, print the figures, and store them for the page."""
        folder: Path = options["catalogue"]
        products = read_labels(folder, groups=TRUE, split=options["split"])
        classifier = Classifier.load(chosen.folder, manifest_sha256=chosen.manifest_sha256, key=chosen.key)
        started = time.monotonic()
        ways: dict[str, list[Answer]] = {"pictures": []}
        if any(product.title for product in products):
            ways["titles"] = []
        truth: list[str] = []
        read: list[LabelledProduct] = []
        looks: list[Prediction] = []
        with self.show_progress(options, title="Labelling", unit="products") as shown:
            # A batch at a time: a catalogue's pictures need not fit into memory.
            for start in range(0, len(products), BATCH_SIZE):
                batch = self._read_pictures(
                    products[start : start + BATCH_SIZE], shown=shown, done=start, total=len(products)
                )
                learned = learn_titles([product.title for product, _ in batch], heads=classifier.heads)
                classified = classifier.classify([one for _, one in batch])
                for (product, _), said, odds in zip(batch, classified, learned, strict=True):
                    ways["pictures"].append(answer_product(said))
                    if "titles" in ways:
                        ways["titles"].append(
                            answer_product(said, title=product.title, country=product.country, learned=odds)
                        )
                truth += [product.group for product, _ in batch]
                if options["wrong_titles"]:
                    read += [product for product, _ in batch]
                    looks += classified
        if not truth:
            raise CommandError(f"none of the {len(products)} pictures in {folder} could be read")
        document = {
            "model_version": classifier.version,
            "catalogue": folder.resolve().name,
            "split": options["split"],
            "created_at": datetime.now(UTC).isoformat(timespec="seconds"),
            "unreadable": len(products) - len(truth),
            "seconds": time.monotonic() - started,
            "ways": {way: judge_answers(answers, truth=truth) for way, answers in ways.items()},
        }
        if options["wrong_titles"]:
            document["wrong_titles"] = judge_wrong_titles(
                looks,
                titles=[product.title for product in read],
                countries=[product.country for product in read],
                truth=truth,
                heads=classifier.heads,
                turns=options["wrong_titles"],
                seed=options["seed"],
            )
        self.answer(document, build_catalogue_table(document), options)
        try:
            save_evaluation(document, folder=folder)
        except OSError as error:
            raise CommandError(f"the evaluation could not be stored: {error}") from error

    def _read_pictures(
        self, products: Sequence[LabelledProduct], *, shown: ProgressReport, done: int, total: int
    ) -> list[tuple[LabelledProduct, Picture]]:
        """Return those of the products whose pictures can be read, with them; the others are named."""
        read = []
        for number, product in enumerate(products, start=done + 1):
            row, picture = decode_file(str(product.path))
            if picture is None:
                self.stderr.write(f"{product.path}: {row.error}, left out")
            else:
                read.append((product, picture))
            shown.update(number, total)
        return read


def build_catalogue_table(document: Mapping[str, Any]) -> RenderableType:
    """The figures of an evaluated catalogue for people."""
    ways = document["ways"]
    figures = next(iter(ways.values()))
    return build_table(
        f"{document['model_version']} on {document['catalogue']}\nin brackets 95 % intervals; a dash for under 30",
        ("Figure", *(WAYS[way] for way in ways)),
        list_figures(ways),
        below=f"{write_wrong_titles(document)}"
        f"{figures['garments']:,} garments and {figures['none']:,} things that are none of the five groups; "
        f"{document['unreadable']:,} could not be read\n{document['seconds']:.1f} s; see the page Evaluations",
    )


def build_report_table(report: EvaluationReport) -> RenderableType:
    """The figures of the report for people."""
    metrics = report.metrics
    title = f"{report.model_version}, recall / precision / negative predictive value"
    rows = [
        (
            name,
            *(
                " / ".join(write_known(getattr(scores[name], measure), ".3f") for measure in MEASURES)
                for scores in (metrics.argmax, metrics.balanced)
            ),
        )
        for name in GROUPS
    ]
    known = metrics.to_json()
    groups, garments = (write_fraction(measure_accuracy(known, name)) for name in ("accuracy", "garment_accuracy"))
    right = write_share(measure_accuracy(known, "accuracy_of_answered"), digits=2)
    rate = metrics.images / report.seconds
    return build_table(
        title,
        ("Group", "argmax", "balanced"),
        rows,
        words=3,
        below=f"{metrics.images} pictures: accuracy over groups {groups}, over garments {garments}\n"
        f"Balanced {metrics.balanced_accuracy:.4f}, macro F1 {metrics.macro_f1:.4f}\n"
        f"Calibration error {metrics.expected_calibration_error:.4f}; "
        f"answers {metrics.answered:.1%} of the pictures, {right} of the answers right\n"
        f"{report.parameters:,} parameters, {report.artefact_bytes / 1e6:.1f} MB, "
        f"{report.seconds:.2f} s ({rate:,.0f} pictures a second)",
    )

"""The command `replay_reviews`."""

from argparse import ArgumentParser, ArgumentTypeError
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

import numpy as np
from django.core.management.base import CommandError
from rich.console import RenderableType

from classifier.management.artefact_choice import choose_artefact
from classifier.management.commands.classify import decode_file
from classifier.management.labelled_products import LABELS_FILE, LabelledProduct, read_labels
from classifier.ml.artefacts import ArtefactError
from classifier.ml.heads import SeenPictures
from classifier.ml.inference import BATCH_SIZE, Classifier
from classifier.ml.judging.catalogues import TRUE
from classifier.ml.reports.documents import save_document
from classifier.ml.reports.evaluation_report import WAYS
from classifier.ml.words import write_known
from classifier.reports.replays import (
    CHOOSERS,
    REVIEWED_SPLIT,
    STEPS,
    LabelledPictures,
    find_as_good,
    plot_replays,
    replay,
    summarise,
)
from config.console import ReportingCommand, build_table

DOCUMENT_NAME: Final = "replay.json"
#: What the table for people has, by its name in the document.
FIGURES: Final = {
    "balanced_accuracy": "Balanced",
    "accuracy_of_surest": "Right of the surest 95 %",
    "unsure": "Unsure",
    "calibration_error": "Calibration error",
    "none_missed": "None of these, missed",
}


class Command(ReportingCommand):
    """`replay_reviews DIR [--seeds N] [--seed N] [--reviews N ...] [--model-version ID] [--output DIR] [--json]`."""

    help = (
        "Replay reviews and trainings on a labelled folder: how good the version is on the part that is held out,\n"
        f"after so many reviews of the part {REVIEWED_SPLIT}, chosen by the queue and at random.\n\n"
        f"{LABELS_FILE} has path, group, split, and may have title and country; the group none is none of the five.\n"
        f"What is not of the split {REVIEWED_SPLIT} is held out. The networks look once at each picture.\n"
        f"With --output the document {DOCUMENT_NAME} and its plots are written.\n\n"
        "Examples:\n"
        "  manage.py replay_reviews shop --output replay\n"
        "  manage.py replay_reviews shop --seeds 3 --reviews 0 100 300 --json"
    )
    shows_progress = True

    def add_arguments(self, parser: ArgumentParser) -> None:
        """Declare the command line."""
        parser.add_argument("folder", type=Path, metavar="DIR", help=f"pictures and {LABELS_FILE}")
        parser.add_argument("--seeds", type=_read_count, default=20, help="how often it is replayed (default: 20)")
        parser.add_argument("--seed", type=int, default=0, help="the first of the seeds (default: 0)")
        parser.add_argument(
            "--reviews",
            type=int,
            nargs="+",
            default=list(STEPS),
            metavar="N",
            help=f"after how many a version is trained and judged (default: {' '.join(map(str, STEPS))})",
        )
        parser.add_argument("--model-version", type=int, metavar="ID", help="whose base looks (in production)")
        parser.add_argument("--output", type=Path, metavar="DIR", help="where the document and its plots are written")

    def handle(self, *args: Any, **options: Any) -> None:
        """Look at the pictures, replay, and print the figures."""
        output: Path | None = options["output"]
        if output is not None and output.exists() and not output.is_dir():
            raise CommandError(f"expected a folder for --output, received the file {output}", returncode=2)
        steps = sorted(set(options["reviews"]))
        if steps[0] < 0:
            raise CommandError("--reviews: expected 0 or more", returncode=2)
        chosen = choose_artefact(options["model_version"])
        products = read_labels(options["folder"], groups=TRUE, split=None)
        parts = [[one for one in products if (one.split == REVIEWED_SPLIT) == taken] for taken in (True, False)]
        if not all(parts):
            raise CommandError(
                f"{options['folder'] / LABELS_FILE}: expected pictures with split {REVIEWED_SPLIT}, and others, which "
                f"are held out; received {len(parts[0])} and {len(parts[1])}"
            )
        try:
            classifier = Classifier.load(chosen.folder, manifest_sha256=chosen.manifest_sha256, key=chosen.key)
        except ArtefactError as error:
            raise CommandError(str(error)) from error
        reviewed, held_out = (self._look(classifier, part, options) for part in parts)
        curves = self._replay(classifier, reviewed, held_out, steps=steps, options=options)
        document = {
            "model_version": classifier.version,
            "catalogue": options["folder"].resolve().name,
            "created_at": datetime.now(UTC).isoformat(timespec="seconds"),
            "seeds": options["seeds"],
            "seed": options["seed"],
            "pictures": {"reviewed": len(reviewed.classes), "held_out": len(held_out.classes)},
            "curves": curves,
            "random_as_good_as_queue": find_as_good(curves),
        }
        self.answer(document, build_replay_table(document), options)
        if output is not None:
            try:
                save_document(output / DOCUMENT_NAME, document=document, files=plot_replays(curves))
            except OSError as error:
                raise CommandError(f"the replay could not be written: {error}") from error

    def _look(
        self, classifier: Classifier, products: Sequence[LabelledProduct], options: dict[str, Any]
    ) -> LabelledPictures:
        """Return what the base sees in those of the products' pictures that can be read; the others are named."""
        read, pictures, seen = [], [], []
        with self.show_progress(options, title="Looking", unit="pictures") as shown:
            for number, product in enumerate(products, start=1):
                row, picture = decode_file(str(product.path))
                if picture is None:
                    self.stderr.write(f"{product.path}: {row.error}, left out")
                else:
                    read.append(product)
                    pictures.append(picture)
                if pictures and (len(pictures) == BATCH_SIZE or number == len(products)):
                    seen.append(classifier.look(pictures))
                    pictures = []
                shown.update(number, len(products))
        if not read:
            raise CommandError(f"none of the {len(products)} pictures in {options['folder']} could be read")
        return LabelledPictures(
            SeenPictures.join(seen),
            np.array([TRUE.index(product.group) for product in read]),
            [product.title for product in read],
            [product.country for product in read],
        )

    def _replay(
        self,
        classifier: Classifier,
        reviewed: LabelledPictures,
        held_out: LabelledPictures,
        *,
        steps: Sequence[int],
        options: dict[str, Any],
    ) -> dict[str, list[dict[str, Any]]]:
        """Return the figures after each step, by the way of choosing."""
        calibration = classifier.manifest.calibration_values()
        seeds = range(options["seed"], options["seed"] + options["seeds"])
        curves, done = {}, 0
        with self.show_progress(options, title="Replaying", unit="replays") as shown:
            for name, choose in CHOOSERS.items():
                rows = []
                for seed in seeds:
                    rows.append(
                        list(replay(reviewed, held_out, calibration=calibration, choose=choose, seed=seed, steps=steps))
                    )
                    done += 1
                    shown.update(done, len(CHOOSERS) * len(seeds))
                curves[name] = summarise(rows)
        return curves


def _read_count(text: str) -> int:
    if not text.isdigit() or int(text) < 1:
        raise ArgumentTypeError(f"expected 1 or more, received {text!r}")
    return int(text)


def build_replay_table(document: Mapping[str, Any]) -> RenderableType:
    """The figures of a replay for people: a row for each way of choosing, step and way of deciding."""
    rows = [
        (
            name,
            WAYS[way],
            str(step["reviews"]),
            *(_write(figures[figure]) for figure in FIGURES),
        )
        for name, steps in document["curves"].items()
        for way in steps[0]["ways"]
        for step in steps
        for figures in [step["ways"][way]]
    ]
    pictures = document["pictures"]
    return build_table(
        f"{document['model_version']} on {document['catalogue']}",
        ("Chosen by", "Decided by", "Reviews", *FIGURES.values()),
        rows,
        words=2,
        below=f"Means over {document['seeds']} replays with standard errors; {pictures['reviewed']:,} pictures are "
        f"reviewed, {pictures['held_out']:,} held out",
    )


def _write(figure: Mapping[str, float] | None) -> str:
    if figure is None:
        return write_known(None, "")
    return f"{figure['mean']:.3f} \N{PLUS-MINUS SIGN} {figure['standard_error']:.3f}"

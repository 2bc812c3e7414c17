"""Label pictures from disk."""

from argparse import ArgumentParser
from collections.abc import Iterator, Sequence
from typing import Any

from django.core.management.base import CommandError
from rich.table import Table

from catalog.pictures.formats import MAX_FILE_BYTES
from classifier.evidence.picture_answers import PictureAnswer, decode_picture
from classifier.management.artefact_choice import choose_artefact
from classifier.ml.artefacts import ArtefactError
from classifier.ml.inference import BATCH_SIZE, Classifier
from classifier.ml.types import ImageClassifier, Picture
from config.console import ReportingCommand, show_controls
from config.files import SpecialFileError, open_file


class Command(ReportingCommand):
    """`classify FILE... [--json]`."""

    help = (
        "Say which group and garment each picture shows: JPEG, PNG, WebP or GIF (first frame).\n\n"
        "Examples:\n"
        "  manage.py classify shirt.jpg shoes.png\n"
        "  manage.py classify --json *.jpg\n\n"
        "The model version in production answers; without one, or without a database, the one that comes with the\n"
        "product.\n"
        "Exit status: 0 at least one file could be read; 1 none could."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        """Declare the command line."""
        parser.add_argument("files", nargs="+", metavar="FILE", help="a picture, 16 pixels to 40 megapixels")

    def handle(self, *args: Any, files: list[str], **options: Any) -> None:
        """Classify the files and print one row for each, in the order given."""
        chosen = choose_artefact()
        try:
            classifier = Classifier.load(chosen.folder, manifest_sha256=chosen.manifest_sha256, key=chosen.key)
        except ArtefactError as error:
            raise CommandError(str(error)) from error
        rows = list(classify_files(files, classifier=classifier))
        self.answer([row.to_json() for row in rows], build_answer_table(rows), options, width=None)
        if all(row.prediction is None for row in rows):
            raise CommandError(f"none of the {len(rows)} files could be read")


def build_answer_table(rows: Sequence[PictureAnswer]) -> Table:
    """A row for each file, as wide as the terminal."""
    table = Table(box=None, pad_edge=False, header_style="bold")
    for title in ("File", "Group", "Garment"):
        table.add_column(title, overflow="fold")
    table.add_column("Confidence", justify="right")
    table.add_column("Remark", overflow="fold")
    for row in rows:
        name = show_controls(row.path).replace("\n", r"\n")
        if row.prediction is None:
            table.add_row(name, "", "", "", f"{row.error}: {row.message}")
        else:
            said = row.prediction
            doubt = "the garment is not sure" if said.garment_unsure else ""
            remark = "not sure: a person should look" if said.abstained else doubt
            table.add_row(name, said.group, said.garment, f"{said.confidence:.3f}", remark)
    return table


def classify_files(paths: Sequence[str], *, classifier: ImageClassifier) -> Iterator[PictureAnswer]:
    """A row for each file, in the order given; pictures are held in memory a batch at a time."""
    for start in range(0, len(paths), BATCH_SIZE):
        decoded = [decode_file(path) for path in paths[start : start + BATCH_SIZE]]
        predictions = iter(classifier.classify([picture for _, picture in decoded if picture is not None]))
        for row, picture in decoded:
            yield row if picture is None else PictureAnswer(row.path, next(predictions))


def decode_file(path: str) -> tuple[PictureAnswer, Picture | None]:
    """A file's picture, or None and a row that says what is wrong with the file."""
    try:
        with open_file(path) as file:
            data = file.read(MAX_FILE_BYTES + 1)
    except OSError as error:
        code = "not_image" if isinstance(error, SpecialFileError) else "not_found"
        return PictureAnswer(path, None, code, error.strerror or str(error)), None
    return decode_picture(path, data)

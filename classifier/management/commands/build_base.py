"""The command `build_base`."""

from argparse import ArgumentParser
from pathlib import Path
from typing import Any

from django.core.management.base import CommandError

from catalog.pictures.decoding import DECODED_SIZE, PictureError, decode_picture
from classifier.management.labelled_products import read_labels
from classifier.ml.artefacts import ArtefactError, artefact_bytes
from classifier.ml.bases import build_base
from classifier.ml.labels import GROUPS
from classifier.ml.types import Picture
from classifier.training.runs import find_usual_weights
from config.console import ReportingCommand

#: What is none of the five groups counts as well: no label is looked at.
NONE = "none"


class Command(ReportingCommand):
    """Makes a base with a second branch of an artefact, and a head on it."""

    help = """\
Make a base with a second branch of an artefact that has its own networks, and a head on it that says the same.

The second branch is ImageNet's MobileNetV2 in colour; the components that are left of what it sees are chosen on
pictures, and so is how likely a photograph stands upright, without their labels. The product is shipped with the
result, so nobody needs this command to use it. The same artefact, pictures and weights give the same files. A base
keeps its second branch, and gets a head that is fitted anew: after calibrate_classifier of a copy of it.

  manage.py build_base trained --pictures shop --pictures photos --split train --output base

Exit status: 0 done; 1 files that are missing or wrong; 2 bad usage."""
    requires_system_checks = []

    def add_arguments(self, parser: ArgumentParser) -> None:
        """Declare the command line."""
        parser.add_argument("artefact", type=Path, help="the artefact's folder")
        parser.add_argument(
            "--pictures",
            type=Path,
            action="append",
            required=True,
            metavar="DIR",
            help="a folder with a labels.csv of photographs; may be given several times",
        )
        parser.add_argument("--split", metavar="NAME", help="only rows whose column split has this value")
        parser.add_argument("--output", type=Path, required=True, help="the head's folder; its base lies within")
        parser.add_argument("--backbone-weights", metavar="imagenet|FILE", help="ImageNet's weights (imagenet)")

    def handle(self, **options: Any) -> None:
        """Build both; raises `CommandError` for files that are missing or wrong."""
        weights = options["backbone_weights"] or find_usual_weights()
        pictures = [
            picture for folder in options["pictures"] for picture in _read_pictures(folder, split=options["split"])
        ]
        try:
            built = build_base(options["artefact"], pictures=pictures, output=options["output"], weights=weights)
        except (ArtefactError, OSError, ValueError) as error:
            raise CommandError(str(error)) from error
        size, folder = artefact_bytes(options["output"]), str(options["output"])
        self.answer(
            {"base": built.manifest.base, "pictures": len(pictures), "bytes": size, "folder": folder},
            f"{built.manifest.version} on base {built.manifest.base} in {folder}, {size:,} bytes",
            options,
        )


def _read_pictures(folder: Path, *, split: str | None) -> list[Picture]:
    """Return the pictures that the folder's table names, as a worker decodes them."""
    pictures = []
    for product in read_labels(folder, groups=(*GROUPS, NONE), split=split):
        try:
            pictures.append(decode_picture(product.path.read_bytes(), target_size=DECODED_SIZE).pixels)
        except (OSError, PictureError) as error:
            raise CommandError(f"{product.path} cannot be read: {error}") from error
    return pictures

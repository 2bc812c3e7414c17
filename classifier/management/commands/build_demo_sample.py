"""The command `build_demo_sample`."""

from argparse import ArgumentParser
from pathlib import Path
from typing import Any

from django.core.management.base import CommandError

from catalog.demo.sample import SAMPLE_FOLDER, build_sample, write_sample
from classifier.ml.data.dataset import DatasetError, load_fashion_mnist, split_training_pictures
from classifier.ml.labels import GARMENTS
from config.console import ReportingCommand


class Command(ReportingCommand):
    """Makes the sample that the demo catalogue is shipped with."""

    help = """\
Choose images of Fashion-MNIST and make the demo catalogue of them: pictures, products, true labels.

They are of the reserved part of the training images, which no recipe looks at, so that reviews of the demo may train.
The product is shipped with the result, so nobody needs this command to run the demo. The same seed gives the same
sample.

  manage.py build_demo_sample
  manage.py build_demo_sample --data-dir ~/fashion-mnist --output /tmp/sample --seed 7"""
    requires_system_checks = []

    def add_arguments(self, parser: ArgumentParser) -> None:
        """Add where the data set is and where the sample goes."""
        parser.add_argument("--data-dir", type=Path, help="folder with the four Fashion-MNIST files, .gz or raw")
        parser.add_argument("--output", type=Path, default=SAMPLE_FOLDER, help="folder of the sample")
        parser.add_argument("--seed", type=int, default=2017)

    def handle(self, **options: Any) -> None:
        """Build and write the sample; raises `CommandError` when the data set cannot be had."""
        try:
            dataset = load_fashion_mnist(options["data_dir"])
        except DatasetError as error:
            raise CommandError(str(error)) from error
        reserved = split_training_pictures(dataset.train_labels).reserved
        sample = build_sample(
            dataset.train_images[reserved],
            garments=[GARMENTS[label] for label in dataset.train_labels[reserved]],
            seed=options["seed"],
        )
        write_sample(sample, folder=options["output"])
        size = sum(path.stat().st_size for path in options["output"].iterdir())
        products, pictures, folder = len(sample.products), len(sample.pictures), str(options["output"])
        self.answer(
            {"products": products, "pictures": pictures, "bytes": size, "folder": folder},
            f"{products} products and {pictures} pictures in {folder}, {size:,} bytes",
            options,
        )

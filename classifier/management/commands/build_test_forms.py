"""The command `build_test_forms`."""

from argparse import ArgumentParser
from pathlib import Path
from typing import Any

from django.core.management.base import CommandError

from classifier.ml.data.dataset import DatasetError, load_fashion_mnist
from classifier.ml.data.forms import TEST_FORMS_FILE, build_test_forms
from config.console import ReportingCommand
from config.files import write_file


class Command(ReportingCommand):
    """Makes the file by which test pictures are known, whatever they come as."""

    help = """\
Write the hashes of the canonical forms of Fashion-MNIST's test pictures, by which trainings leave such pictures out.

The product is shipped with the result, so nobody needs this command to use it.

  manage.py build_test_forms
  manage.py build_test_forms --data-dir ~/fashion-mnist --output /tmp/test_forms.bin"""
    requires_system_checks = []

    def add_arguments(self, parser: ArgumentParser) -> None:
        """Add where the data set is and where the file goes."""
        parser.add_argument("--data-dir", type=Path, help="folder with the four Fashion-MNIST files, .gz or raw")
        parser.add_argument("--output", type=Path, default=TEST_FORMS_FILE, metavar="FILE", help="the file")

    def handle(self, **options: Any) -> None:
        """Write the file; raises `CommandError` when the data set cannot be had."""
        try:
            content = build_test_forms(load_fashion_mnist(options["data_dir"]).test_images)
        except DatasetError as error:
            raise CommandError(str(error)) from error
        write_file(options["output"], content)
        output = str(options["output"])
        self.answer({"file": output, "bytes": len(content)}, f"{output}, {len(content):,} bytes", options)

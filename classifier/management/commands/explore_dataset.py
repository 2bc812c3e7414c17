"""Look at the data set before anything is trained on it."""

from argparse import ArgumentParser
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from django.conf import settings
from django.core.management.base import CommandError
from rich.console import RenderableType

from classifier.ml.data.dataset import DatasetError, load_fashion_mnist
from classifier.ml.reports.documents import EXPLORATION_NAME, save_document
from classifier.ml.reports.exploration import explore
from classifier.ml.reports.exploration_report import build_report
from config.console import ReportingCommand, build_table


class Command(ReportingCommand):
    """`explore_dataset [--data-dir DIR] [--output DIR] [--seed N] [--json]`."""

    help = (
        "Count and plot what is in Fashion-MNIST: labels, brightness, duplicates, confusable garments, likely label\n"
        "errors. Writes one JSON document and its plots; the site's page Data shows them. No test picture trains\n"
        "anything. Takes about a minute on two cores.\n\n"
        "Examples:\n"
        "  manage.py explore_dataset\n"
        "  manage.py explore_dataset --data-dir fashion-mnist --output report --json"
    )
    shows_progress = True

    def add_arguments(self, parser: ArgumentParser) -> None:
        """Declare the command line."""
        parser.add_argument("--data-dir", type=Path, metavar="DIR", help="the folder with the four Fashion-MNIST files")
        parser.add_argument(
            "--output", type=Path, metavar="DIR", help="where to write (default: exploration in VAR_DIR)"
        )
        parser.add_argument("--seed", type=int, default=1, help="of folds and features (default: 1)")

    def handle(self, *args: Any, **options: Any) -> None:
        """Explore, write, and print the main figures."""
        folder: Path = options["output"] or settings.EXPLORATION_DIRS[0]
        if folder.exists() and not folder.is_dir():
            raise CommandError(f"expected a folder for --output, received the file {folder}", returncode=2)
        try:
            dataset = load_fashion_mnist(options["data_dir"])
            with self.show_progress(options, title="Exploring", unit="steps") as progress:
                exploration = explore(dataset, seed=options["seed"], progress=progress.update)
            report, files = build_report(dataset, exploration)
            head = {
                "dataset": {"name": "Fashion-MNIST", "sha256": dict(dataset.sha256)},
                "seed": options["seed"],
                "created_at": datetime.now(UTC).isoformat(timespec="seconds"),
                "figures": exploration.figures,
            }
            save_document(folder / EXPLORATION_NAME, document={**head, **report}, files=files)
        except (DatasetError, OSError) as error:
            raise CommandError(f"{error}. No exploration was written") from error
        except KeyboardInterrupt:
            raise CommandError("interrupted; no exploration was written") from None
        self.answer(
            {"output": str(folder), "files": sorted([EXPLORATION_NAME, *files]), **head},
            build_figures_table(exploration.figures, path=folder / EXPLORATION_NAME),
            options,
        )


def build_figures_table(figures: Mapping[str, Any], *, path: Path) -> RenderableType:
    """The main figures for people."""
    rows = [
        (row["name"], f"{row['train']:,}", f"{row['test']:,}", f"{pixels['mean']:.1f}", f"{pixels['median']:.0f}")
        for row, pixels in zip(figures["labels"]["groups"], figures["pixels"]["train"], strict=True)
    ]
    standard, duplicates, errors = (figures[key] for key in ("standardisation", "duplicates", "label_errors"))
    near = next(row for row in duplicates["by_distance"] if row["distance"] == duplicates["near_duplicate_distance"])
    return build_table(
        "Fashion-MNIST",
        ("Group", "Training", "Test", "Mean", "Median"),
        rows,
        below=f"Training part: mean {standard['mean']:.2f}, "
        f"standard deviation {standard['standard_deviation']:.2f}\n"
        f"Duplicates: {duplicates['exact']['pairs']:,} exact pairs, {near['pairs']:,} near, {near['across']:,} of "
        f"these across training and test\n"
        f"Doubtful labels: {errors['suspects']:,}, {errors['suspects_across_groups']:,} of them across groups "
        f"(out of fold, {errors['garment_accuracy']:.1%} right on garments)\n"
        f"{figures['seconds']:.0f} s; see the page Data, or {path}",
    )

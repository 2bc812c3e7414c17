"""How long a retraining takes, from the button to a candidate with its figures.

    python -m benchmarks.retraining FOLDER [FOLDER ...] [--reviews N ...] [--seed N] [--json]

The folders are labelled ones, as `evaluate_classifier --catalogue` takes them. The shipped version is in production and
has looked at so many of their pictures, people labelled them, and nobody let them fall into parts meanwhile: the
training does, as it does after a large call of the API. A training worker has its code loaded; so has this process.
"""

import argparse
import time
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any, Final

import numpy as np
from rich.console import Console
from rich.table import Table

from benchmarks.environment import run_on_database

#: Floor and goal in seconds, by the number of reviews.
_LIMITS: Final = {300: (60.0, 15.0), 3_000: (180.0, 45.0)}
_LIBRARIES: Final = ("django", "numpy", "psycopg2-binary", "scipy")
_AT_ONCE: Final = 100


def measure(arguments: argparse.Namespace, report: Any) -> dict[str, Any]:
    """Return how long each training took, and each of its phases; see `print_result`."""
    from django.contrib.auth.models import User

    from classifier.management.labelled_products import read_labels
    from classifier.ml.artefacts import DEFAULT_ARTEFACT
    from classifier.ml.inference import Classifier
    from classifier.ml.judging.catalogues import TRUE
    from tests.support.artefacts import register_active_version

    products = [one for folder in arguments.folders for one in read_labels(folder, groups=TRUE, split=None)]
    products = [products[place] for place in np.random.default_rng(arguments.seed).permutation(len(products))]
    steps = sorted(set(arguments.reviews))
    if len(products) < steps[-1]:
        raise SystemExit(f"expected {steps[-1]} pictures, found {len(products)}")
    version, classifier = register_active_version(DEFAULT_ARTEFACT), Classifier.load(DEFAULT_ARTEFACT)
    reviewer, trainings = User.objects.create_superuser("benchmark"), []
    for done, number in pairwise([0, *steps]):
        report(f"reviewing {number - done} pictures")
        for start in range(done, number, _AT_ONCE):
            review(products[start : min(start + _AT_ONCE, number)], version, classifier, reviewer_id=reviewer.pk)
        report(f"training with {number} reviews")
        trainings.append({"reviews": number, **train()})
        report(f"they took {trainings[-1]['seconds']} s")
    return {"trainings": trainings}


def review(products: Sequence[Any], version: Any, classifier: Any, *, reviewer_id: int) -> None:
    """Store the products with their pictures and what the base sees in them, and label them as their folder says."""
    from django.db import transaction

    from catalog.pictures.decoding import to_rgb
    from catalog.pictures.storage import build_stored_picture, record_stored_pictures
    from classifier.features.services import record_features
    from classifier.reviews.services import record_reviews
    from tests.support.factories import create_image, create_product

    contents = [product.path.read_bytes() for product in products]
    images = [create_image() for _ in products]
    stored = [build_stored_picture(image, content) for image, content in zip(images, contents, strict=True)]
    record_stored_pictures(stored)
    seen = classifier.look([to_rgb(content) for content in contents]).split()
    record_features((version.base_id, row.sha256, of, None) for row, of in zip(stored, seen, strict=True))
    with transaction.atomic():
        for image, product in zip(images, products, strict=True):
            create_product(title=product.title or "A thing", images=[image])
            label = {"group": product.group} if product.group != "none" else {"group": "", "verdict": "none_of_these"}
            record_reviews([image.pk], reviewer_id=reviewer_id, **label)


def train() -> dict[str, Any]:
    """Carry out a training as the button asks for it; return the seconds, and those of its phases by name."""
    from classifier.registry.services import find_manifest
    from classifier.training.runs import carry_out_training
    from classifier.training.starting import start_training_run

    starts: list[tuple[str, float]] = []

    def note(progress: Any) -> None:
        if not starts or starts[-1][0] != progress.phase:
            starts.append((progress.phase, time.perf_counter()))

    began, cpu = time.perf_counter(), time.process_time()
    run = start_training_run(here=True, recipe="reviewed", seed=1)
    carry_out_training(run, watch=note)
    ended = time.perf_counter()
    run.refresh_from_db()
    manifest = find_manifest(run.model_version) if run.model_version is not None else None
    if manifest is None:
        raise RuntimeError(f"expected a candidate, received {run.state}: {run.error}")
    return {
        "seconds": round(ended - began, 2),
        "process_seconds": round(time.process_time() - cpu, 2),
        "phases": {name: round(end - start, 2) for (name, start), (_, end) in pairwise([*starts, ("", ended)])},
        "accuracy_out_of_fold": manifest.training["catalogue"]["out_of_fold"]["accuracy"],
    }


def print_result(result: dict[str, Any], *, console: Console) -> None:
    """Print the measurement as a table."""
    table = Table(box=None, pad_edge=False, header_style="bold", title="From the button to a candidate")
    for heading in ("Reviews", "seconds", "computed", "floor", "goal", "of these"):
        table.add_column(heading, justify="left" if heading == "of these" else "right")
    for training in result["trainings"]:
        floor, goal = _LIMITS.get(training["reviews"], (None, None))
        phases = ", ".join(f"{name} {seconds:.1f}" for name, seconds in training["phases"].items())
        numbers = (training["seconds"], training["process_seconds"], floor, goal)
        told = [f"{number:.1f}" if number is not None else "" for number in numbers]
        table.add_row(f"{training['reviews']:,}", *told, phases)
    console.print(table)


def main() -> None:
    """Run the benchmark of the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folders", type=Path, nargs="+", metavar="FOLDER", help="pictures and labels.csv")
    parser.add_argument("--reviews", type=int, nargs="+", default=list(_LIMITS), metavar="N")
    parser.add_argument("--seed", type=int, default=1, help="of which pictures are reviewed (%(default)s)")
    run_on_database(parser, libraries=_LIBRARIES, measure=measure, print_result=print_result)


if __name__ == "__main__":
    main()

"""The test pictures labelled by the product, by Keras with the same network, and by the published network, in one run.

    python -m benchmarks.inference [--images N] [--published-images N] [--data-dir DIR] [--json]

All three label the same pictures on the same cores. What is timed differs, and never in the product's favour: the
product runs from pictures in memory through its preprocessing to labels, the two Keras networks only `predict`, their
input being prepared before the clock starts.
"""

import argparse
import dataclasses
import json
import os
import statistics
import sys
from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any, Final

# Before TensorFlow is imported: its start-up notices are no result.
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import keras
import numpy as np
import safetensors.numpy
from numpy.typing import NDArray
from PIL import Image
from rich.console import Console
from rich.table import Table

from benchmarks.energy import NOT_MEASURABLE, Cost, measure
from benchmarks.looks import describe_looks, measure_looks
from benchmarks.machine import count_cores, describe_machine, machine_lines
from classifier.ml import pipeline
from classifier.ml.artefacts import DEFAULT_ARTEFACT, WEIGHTS_FILE, verify_artefact
from classifier.ml.data.dataset import DatasetError, FashionMnist, load_fashion_mnist
from classifier.ml.inference import Classifier
from classifier.ml.network import architecture as networks
from classifier.ml.network import ensemble
from classifier.ml.preprocessing import canonical_pictures
from config.console import ProgressReport
from tests.support.networks import build_trained_members

REPEATS: Final = 5
#: Test pictures as a shop might show them.
_PHOTOGRAPHS: Final = 200
_PHOTOGRAPH_SIDE: Final = 80
PUBLISHED_SIDE: Final = 224
PUBLISHED_CLASSES: Final = 5
#: As many pictures at 224 x 224 lie ready at a time (75 MB).
_CHUNK: Final = 500
#: Keras' own batch size and a larger one; the faster one on a few pictures labels them all.
_BATCH_SIZES: Final = (32, 128)
_TRIAL_PICTURES: Final = 256


@dataclasses.dataclass(frozen=True, slots=True)
class Rate:
    """How long one way of labelling took for a number of pictures, and the processor's joules for 1,000 of them.

    The joules are None where the machine does not tell them.
    """

    name: str
    images: int
    seconds: float
    joules_per_1000: float | None
    details: dict[str, Any] = dataclasses.field(default_factory=dict)

    @property
    def images_per_second(self) -> float:
        """Pictures labelled in a second."""
        return self.images / self.seconds

    def to_json(self, *, published: "Rate") -> dict[str, Any]:
        """Return the rate and how many times faster it is than the published network's, as plain JSON."""
        return {
            "name": self.name,
            "images": self.images,
            "seconds": self.seconds,
            "images_per_second": self.images_per_second,
            "joules_per_1000_images": self.joules_per_1000,
            "times_faster_than_published": self.images_per_second / published.images_per_second,
            **self.details,
        }


def measure_product(data: FashionMnist) -> Rate:
    """The product's rate: what `evaluate_classifier` reports as seconds, the median of five."""
    reports = []

    def evaluate() -> None:
        reports.append(pipeline.evaluate(DEFAULT_ARTEFACT, dataset=data, threads=count_cores()))

    costs = [measure(evaluate) for _ in range(REPEATS)]
    return Rate(
        name="product: pictures in memory to labels",
        images=reports[0].metrics.images,
        seconds=statistics.median(report.seconds for report in reports),
        joules_per_1000=_spread(costs, images=len(data.test_labels)),
        details={
            "repeats": REPEATS,
            "all_seconds": [report.seconds for report in reports],
            "model_version": reports[0].model_version,
            "parameters": reports[0].parameters,
            "accuracy": reports[0].metrics.accuracy,
        },
    )


def measure_predictions(pictures: NDArray[np.uint8]) -> Rate:
    """The same, as one `Prediction` object for each picture: what a labelling worker asks for; median of five."""
    classifier = Classifier.load(DEFAULT_ARTEFACT, threads=count_cores())
    costs = [measure(lambda: classifier.classify(list(pictures))) for _ in range(REPEATS)]
    seconds = [cost.seconds for cost in costs]
    return Rate(
        name="product: classify(), an object a picture",
        images=len(pictures),
        seconds=statistics.median(seconds),
        joules_per_1000=_spread(costs, images=len(pictures)),
        details={"repeats": REPEATS, "all_seconds": seconds},
    )


def measure_keras(pictures: NDArray[np.uint8]) -> Rate:
    """Keras `predict` of the artefact's network, rebuilt from its weights; its input is in canonical form already."""
    artefact = verify_artefact(DEFAULT_ARTEFACT)
    spec = networks.NetworkSpec(**artefact.manifest.network)
    weights = safetensors.numpy.load(artefact.networks[WEIGHTS_FILE])
    network = ensemble.as_served(build_trained_members(spec, weights=weights))
    canonical = canonical_pictures(pictures, spec=artefact.manifest.preprocessing_spec())
    batch_size = _choose_batch_size(network, canonical[:_TRIAL_PICTURES])
    cost = measure(partial(network.predict, canonical, batch_size=batch_size, verbose=0))
    return Rate(
        name="Keras predict, the same network",
        images=len(pictures),
        seconds=cost.seconds,
        joules_per_1000=_spread([cost], images=len(pictures)),
        details={"batch_size": batch_size},
    )


def build_published_network() -> keras.Model:
    """The published network with random weights: MobileNetV2, alpha 1.0, on uint8[N, 224, 224, 3], five classes."""
    pictures = keras.Input((PUBLISHED_SIDE, PUBLISHED_SIDE, 3), dtype="uint8")
    scaled = keras.layers.Rescaling(1.0 / 127.5, -1.0)(keras.ops.cast(pictures, "float32"))
    backbone = keras.applications.MobileNetV2(
        input_shape=(PUBLISHED_SIDE, PUBLISHED_SIDE, 3), include_top=False, weights=None, pooling="avg"
    )
    return keras.Model(pictures, keras.layers.Dense(PUBLISHED_CLASSES)(backbone(scaled)))


def measure_published(pictures: NDArray[np.uint8], *, report: ProgressReport) -> Rate:
    """Keras `predict` of the published network on pictures enlarged beforehand to 224 x 224.

    Its weights are random, which costs as much time as trained ones.
    """
    network = build_published_network()
    batch_size = _choose_batch_size(network, _enlarge(pictures[:_TRIAL_PICTURES]))
    cost, done = Cost(0.0, 0.0), 0
    for chunk in _chunks(pictures):
        enlarged = _enlarge(chunk)
        cost += measure(partial(network.predict, enlarged, batch_size=batch_size, verbose=0))
        done += len(chunk)
        report.update(done, len(pictures), note=f"{done / cost.seconds:.0f} a second")
    return Rate(
        name="published network, Keras predict",
        images=len(pictures),
        seconds=cost.seconds,
        joules_per_1000=_spread([cost], images=len(pictures)),
        details={"batch_size": batch_size, "parameters": networks.count_parameters(network)},
    )


def _chunks(pictures: NDArray[np.uint8]) -> Iterator[NDArray[np.uint8]]:
    for start in range(0, len(pictures), _CHUNK):
        yield pictures[start : start + _CHUNK]


def _enlarge(pictures: NDArray[np.uint8], *, side: int = PUBLISHED_SIDE) -> NDArray[np.uint8]:
    """Return grey pictures uint8[N, H, W] as uint8[N, side, side, 3]."""
    size = (side, side)
    large = [np.asarray(Image.fromarray(picture).resize(size, Image.Resampling.BILINEAR)) for picture in pictures]
    return np.repeat(np.stack(large)[..., None], 3, axis=3)


def _choose_batch_size(network: keras.Model, pictures: NDArray[np.uint8]) -> int:
    """Return the faster batch size on these pictures; the network is traced for both on the way."""
    seconds = {}
    for size in _BATCH_SIZES:
        network.predict(pictures[:size], batch_size=size, verbose=0)
        seconds[size] = measure(partial(network.predict, pictures, batch_size=size, verbose=0)).seconds
    return min(seconds, key=lambda size: seconds[size])


def _spread(costs: Sequence[Cost], *, images: int) -> float | None:
    """Return the median joules of 1,000 pictures, where each of the costs is for so many."""
    joules = [cost.joules for cost in costs if cost.joules is not None]
    return 1000 * statistics.median(joules) / images if joules else None


def print_rates(rates: Sequence[Rate], *, looks: dict[str, float], machine: dict[str, Any], console: Console) -> None:
    """Print the table; the last rate is the published network's."""
    published = rates[-1]
    table = Table(box=None, pad_edge=False, header_style="bold", title="Fashion-MNIST test pictures")
    table.add_column("way")
    for heading in ("images", "seconds", "images/s", "times the published", "joules/1,000"):
        table.add_column(heading, justify="right")
    for rate in rates:
        table.add_row(
            rate.name,
            f"{rate.images:,}",
            f"{rate.seconds:.2f}",
            f"{rate.images_per_second:,.0f}",
            f"{rate.images_per_second / published.images_per_second:.1f}",
            "-" if rate.joules_per_1000 is None else f"{rate.joules_per_1000:.1f}",
        )
    console.print(table)
    if published.joules_per_1000 is None:
        console.print(f"joules per 1,000 pictures: {NOT_MEASURABLE}")
    console.print(f"{published.details['parameters']:,} parameters in the published network, batch norm not counted")
    console.print(describe_looks(looks, size=f"{_PHOTOGRAPH_SIDE}x{_PHOTOGRAPH_SIDE}"))
    for line in machine_lines(machine):
        console.print(line)


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure and print; return the exit status."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.inference", description=__doc__.partition("\n")[0])
    parser.add_argument("--images", type=int, default=10_000, metavar="N", help="label the first N test pictures")
    parser.add_argument(
        "--published-images", type=int, metavar="N", help="fewer for the published network, which takes minutes for all"
    )
    parser.add_argument("--data-dir", type=Path, metavar="DIR", help="the folder with the four Fashion-MNIST files")
    parser.add_argument("--json", action="store_true", help="print the result as one JSON document")
    options = parser.parse_args(arguments)
    machine = describe_machine()
    try:
        data = load_fashion_mnist(options.data_dir)
    except DatasetError as error:
        parser.exit(1, f"{error}\n")
    data = dataclasses.replace(
        data, test_images=data.test_images[: options.images], test_labels=data.test_labels[: options.images]
    )
    with ProgressReport(sys.stderr, title="Published network", unit="pictures") as report:
        rates = [
            measure_product(data),
            measure_predictions(data.test_images),
            measure_keras(data.test_images),
            measure_published(data.test_images[: options.published_images], report=report),
        ]
    # Dark on white, as no picture in canonical form is.
    photographs = 255 - _enlarge(data.test_images[:_PHOTOGRAPHS], side=_PHOTOGRAPH_SIDE)
    looks = measure_looks(DEFAULT_ARTEFACT, list(photographs))
    if options.json:
        shown = [rate.to_json(published=rates[-1]) for rate in rates]
        sys.stdout.write(json.dumps({"machine": machine, "rates": shown, "photographs": looks}) + "\n")
    else:
        print_rates(rates, looks=looks, machine=machine, console=Console(highlight=False, width=100))
    return 0


if __name__ == "__main__":
    sys.exit(main())

"""What looking at photographs takes with and without the base's branch for colours, side by side."""

import statistics
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from classifier.ml.artefacts import COLOUR_FILE, NETWORK_FILE, verify_artefact
from classifier.ml.inference import Classifier
from classifier.ml.types import Picture

REPEATS: Final = 5


def measure_looks(folder: Path, pictures: Sequence[Picture]) -> dict[str, float]:
    """Return the milliseconds a picture with and without the branch, from pixels to features: medians of five each."""
    artefact = verify_artefact(folder)
    network, branch = artefact.networks[NETWORK_FILE], artefact.networks.get(COLOUR_FILE)
    ways = {
        name: Classifier(network=network, manifest=artefact.manifest, colour=colour)
        for name, colour in (("with_colours", branch), ("without_colours", None))
    }
    milliseconds: dict[str, list[float]] = {name: [] for name in ways}
    for _ in range(REPEATS):
        for name, classifier in ways.items():
            started = time.perf_counter()
            classifier.look(pictures)
            milliseconds[name].append(1000 * (time.perf_counter() - started) / len(pictures))
    return {name: statistics.median(values) for name, values in milliseconds.items()}


def describe_looks(milliseconds: dict[str, float], *, size: str) -> str:
    """Return the line that is printed of them."""
    return (
        f"photographs of {size} with and without the branch for colours: {milliseconds['with_colours']:.2f} and "
        f"{milliseconds['without_colours']:.2f} ms a picture"
    )

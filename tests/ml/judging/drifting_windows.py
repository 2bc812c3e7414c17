"""Windows of pictures with and without a planted shift: ``python -m tests.ml.judging.drifting_windows``, or a line of
``make proof``.

The test pictures of Fashion-MNIST, as the shipped artefact sees them, come alone or in batches that hang together: each
batch has a mix of its own and leans its own way. How often is a window that does not differ said to, and how often is
one that was inverted, blurred, mixed otherwise or has another kind of thing among it? With ``--shop DIR`` the new kind
of thing is what a labelled shop says is none of the groups; else it is a garment that the reference has not.
"""

import argparse
import csv
import json
import os
import sys
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from scipy import ndimage

from classifier.ml.artefacts import DEFAULT_ARTEFACT
from classifier.ml.data.dataset import load_fashion_mnist
from classifier.ml.heads import SeenPictures, predict
from classifier.ml.inference import Classifier
from classifier.ml.judging.drift import Comparison, Side, compare
from classifier.ml.labels import GARMENTS

REFERENCE, WINDOW, BATCH, HOSTS = 2_000, 500, 50, 5
#: The garment that only some windows have where there is no shop.
NEW_GARMENT = GARMENTS.index("Coat")
MOVED = GARMENTS.index("Bag")
#: How far batches differ: the weight of the common mix beside chance, and how strongly a batch leans.
CONCENTRATION, LEANING = 30.0, 0.25
LEAST_FOUND, MOST_FALSE_ALARMS = 0.90, 0.08
AT_ONCE = 256


@dataclass(frozen=True)
class Seen:
    """What the artefact saw in N pictures, and what it said: float32[N, 128] and float32[N, 10]."""

    features: NDArray[np.float32]
    probabilities: NDArray[np.float32]

    def take(self, chosen: NDArray[np.integer] | NDArray[np.bool_]) -> "Seen":
        """Those of the pictures that are chosen."""
        return Seen(self.features[chosen], self.probabilities[chosen])

    def put(self, places: NDArray[np.bool_], others: "Seen") -> "Seen":
        """The same with others in these places."""
        features, probabilities = self.features.copy(), self.probabilities.copy()
        features[places], probabilities[places] = others.features, others.probabilities
        return Seen(features, probabilities)


@dataclass(frozen=True)
class Material:
    """Pictures that are as they should be with their garments, the same spoilt, and things of a new kind."""

    plain: Seen
    garments: NDArray[np.int64]
    inverted: Seen
    blurred: Seen
    new: Seen
    new_is_garment: bool
    directions: NDArray[np.float32]


def look_at(pictures: Sequence[NDArray[np.uint8]], *, classifier: Classifier) -> Seen:
    """What the classifier sees in pictures, as it is stored."""
    parts = [classifier.look(pictures[start : start + AT_ONCE]) for start in range(0, len(pictures), AT_ONCE)]
    seen = SeenPictures.join(parts)
    said = predict(seen, heads=classifier.heads)
    probabilities = [[each.garment_probabilities[name] for name in GARMENTS] for each in said]
    return Seen(seen.features.astype(np.float32), np.array(probabilities, dtype=np.float32))


def read_nothings(folder: Path) -> list[NDArray[np.uint8]]:
    """The pictures of a labelled shop that are none of the groups."""
    with (folder / "labels.csv").open(encoding="utf-8") as file:
        paths = [row["path"] for row in csv.DictReader(file) if row["group"] == "none"]
    return [np.array(Image.open(folder / path).convert("RGB")) for path in paths]


def prepare(*, pictures: int, shop: Path | None) -> Material:
    """Look at so many pictures, and at each of them spoilt."""
    classifier = Classifier.load(DEFAULT_ARTEFACT)
    dataset = load_fashion_mnist()
    images, garments = dataset.test_images[:pictures], np.asarray(dataset.test_labels[:pictures], dtype=np.int64)
    plain = look_at(list(images), classifier=classifier)
    blurred = [ndimage.gaussian_filter(image.astype(float), 1.0).astype(np.uint8) for image in images]
    centred = plain.features - plain.features.mean(axis=0)
    _, spread, axes = np.linalg.svd(centred, full_matrices=False)
    return Material(
        plain=plain,
        garments=garments,
        inverted=look_at([255 - image for image in images], classifier=classifier),
        blurred=look_at(blurred, classifier=classifier),
        new=look_at(read_nothings(shop), classifier=classifier) if shop else plain.take(garments == NEW_GARMENT),
        new_is_garment=shop is None,
        directions=(centred @ axes[:10].T) / spread[:10] * np.sqrt(len(centred)),
    )


def draw(material: Material, *, batches: bool, generator: np.random.Generator) -> tuple[Side, Side, NDArray[np.int64]]:
    """A reference and a window that do not differ, and which of the pictures are in the window, int64[500]."""
    pictures = REFERENCE + WINDOW
    if batches:
        chosen = [_draw_batch(material, generator) for _ in range(pictures // BATCH)]
        indices, batch = np.concatenate(chosen), np.repeat(np.arange(len(chosen)), BATCH)
        hosts = batch % HOSTS
    else:
        known = np.flatnonzero(material.garments != NEW_GARMENT) if material.new_is_garment else len(material.garments)
        indices, hosts = generator.choice(known, pictures, replace=False), generator.integers(0, HOSTS, pictures)
        batch = np.repeat([0, 1], [REFERENCE, WINDOW])
    sides = [
        Side(seen.features, seen.probabilities, batches=batch[part], hosts=hosts[part])
        for part in (slice(REFERENCE), slice(REFERENCE, None))
        for seen in [material.plain.take(indices[part])]
    ]
    return sides[0], sides[1], indices[REFERENCE:]


def _draw_batch(material: Material, generator: np.random.Generator) -> NDArray[np.int64]:
    """Pictures that hang together: their garments are mixed in another way, and they lean the same way."""
    weights = np.exp(LEANING * (material.directions @ _unit(generator.normal(size=material.directions.shape[1]))))
    weights *= generator.dirichlet(np.full(len(GARMENTS), CONCENTRATION / len(GARMENTS)))[material.garments]
    if material.new_is_garment:
        weights[material.garments == NEW_GARMENT] = 0
    return generator.choice(len(weights), BATCH, replace=False, p=weights / weights.sum())


def _unit(vector: NDArray[np.float64]) -> NDArray[np.float64]:
    return vector / np.linalg.norm(vector)


def _spoil(window: Side, indices: NDArray[np.int64], *, places: NDArray[np.bool_], by: Seen) -> Side:
    """The window with the pictures in these places as they are spoilt."""
    return _put(window, places, by.take(indices[places]))


def _put(window: Side, places: NDArray[np.bool_], others: Seen) -> Side:
    seen = Seen(window.features, window.probabilities).put(places, others)
    return replace(window, features=seen.features, probabilities=seen.probabilities)


def _add(window: Side, *, share: float, of: Seen, generator: np.random.Generator) -> Side:
    """The window with things of another kind in this share of its places, whichever."""
    places = np.zeros(len(window), dtype=bool)
    places[generator.choice(len(window), round(share * len(window)), replace=False)] = True
    return _put(window, places, of.take(generator.integers(len(of.features), size=int(places.sum()))))


def _mark(share: float, count: int, generator: np.random.Generator) -> NDArray[np.bool_]:
    return generator.random(count) < share


def _spoil_host(material: Material, window: Side, indices: NDArray[np.int64]) -> Side:
    """The window with a fifth of its pictures, those of one host, blurred."""
    return _spoil(window, indices, places=window.hosts == 0, by=material.blurred)


SHIFTS: dict[str, Callable[[Material, Side, NDArray[np.int64], np.random.Generator], Side]] = {
    "inverted": lambda m, w, i, g: _spoil(w, i, places=np.ones(len(w), dtype=bool), by=m.inverted),
    "blurred": lambda m, w, i, g: _spoil(w, i, places=np.ones(len(w), dtype=bool), by=m.blurred),
    "30 % blurred": lambda m, w, i, g: _spoil(w, i, places=_mark(0.3, len(w), g), by=m.blurred),
    "mix moved by 15 points": lambda m, w, i, g: _add(
        w, share=0.15 / 0.9, of=m.plain.take(m.garments == MOVED), generator=g
    ),
    "20 % of a new kind": lambda m, w, i, g: _add(w, share=0.2, of=m.new, generator=g),
    "one host of 20 % gone bad": lambda m, w, i, g: _spoil_host(m, w, i),
}


def judge(material: Material, *, windows: int, shifted: int, seed: int) -> dict[str, Any]:
    """Return the share of false alarms and of shifts found, with pictures alone and in batches."""
    generator = np.random.default_rng(seed)
    outcome: dict[str, Any] = {"windows": windows, "shifted": shifted, "seed": seed}
    for way, batches in (("alone", False), ("in_batches", True)):

        def check(shift: str = "", *, batches: bool = batches) -> Comparison:
            reference, window, indices = draw(material, batches=batches, generator=generator)
            if shift:
                window = SHIFTS[shift](material, window, indices, generator)
            return compare(reference, window, seed=int(generator.integers(2**31)))

        checks = [check() for _ in range(windows // 2)]
        outcome[way] = {
            "false_alarms": float(np.mean([each.is_different for each in checks])),
            "measured_by_the_checks": float(np.mean([each.false_alarms for each in checks])),
            "permuted": dict(Counter(each.tests[0].permuted for each in checks)),
            "found": {shift: float(np.mean([check(shift).is_different for _ in range(shifted)])) for shift in SHIFTS},
        }
    outcome["false_alarms"] = (outcome["alone"]["false_alarms"] + outcome["in_batches"]["false_alarms"]) / 2
    outcome["least_found"] = min(outcome["alone"]["found"].values(), default=None)
    return outcome


def main() -> int:
    """Judge drift checks, and return 1 where they alarm too often without a shift, or miss too many."""
    parser = argparse.ArgumentParser(prog="python -m tests.ml.judging.drifting_windows", description=main.__doc__)
    parser.add_argument(
        "--windows", type=int, default=400, help="without a shift, half of them of batches (%(default)s)"
    )
    parser.add_argument("--shifted", type=int, default=100, help="of each planted shift (%(default)s)")
    parser.add_argument("--pictures", type=int, default=6_000, help="of Fashion-MNIST (%(default)s)")
    parser.add_argument("--shop", type=Path, default=os.environ.get("SHOP_DIR"), help="a labelled folder (SHOP_DIR)")
    parser.add_argument("--seed", type=int, default=1, help="what windows are drawn by (%(default)s)")
    parser.add_argument("--json", action="store_true", help="print the outcome as one JSON document")
    arguments = parser.parse_args()
    started = time.monotonic()
    material = prepare(pictures=arguments.pictures, shop=arguments.shop)
    looked = time.monotonic()
    outcome = judge(material, windows=arguments.windows, shifted=arguments.shifted, seed=arguments.seed)
    found = outcome["least_found"]
    passed = outcome["false_alarms"] <= MOST_FALSE_ALARMS and (found is None or found >= LEAST_FOUND)
    outcome |= {
        "passed": passed,
        "seconds_to_look": round(looked - started, 1),
        "elapsed_seconds": round(time.monotonic() - looked, 1),
    }
    sys.stdout.write((json.dumps(outcome) if arguments.json else str(outcome)) + "\n")
    return 0 if passed else 1


if __name__ == "__main__":
    sys.exit(main())

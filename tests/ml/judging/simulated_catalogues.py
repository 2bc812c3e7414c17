"""Simulated catalogues and their audits: ``python -m tests.ml.judging.simulated_catalogues``, or a line of
``make proof``.

Each has groups of its own sizes and a model of its own accuracy and conceit, and somebody looks at a sample of it,
small or large, to the end or not. How often does the interval hold the truth, and is it wider than it need be?
"""

import argparse
import json
import sys
import time
from dataclasses import dataclass
from typing import Any

import numpy as np

from classifier.ml.judging.sampling import Stratum, allocate, estimate_share
from classifier.ml.judging.shares import STANDARD_DEVIATIONS

GROUPS, CONFIDENCES = 5, np.array([0.45, 0.77, 0.97])
SAMPLES = (50, 100, 200, 400)
#: What the interval must hold, and how much wider it may be than the textbook's.
LEAST_HELD, MOST_HELD, MOST_WIDTH = 0.93, 0.97, 1.15


@dataclass(frozen=True)
class Audit:
    """What the interval says of a catalogue, what the textbook's would say of the same sample, and the truth."""

    truth: float
    low: float
    high: float
    textbook: tuple[float, float]

    @property
    def holds(self) -> bool:
        """Whether the truth is inside the interval."""
        return self.low - 1e-9 <= self.truth <= self.high + 1e-9


def simulate_audit(generator: np.random.Generator) -> Audit:
    """Make a catalogue of 300 to 200,000 products, draw a sample of it and judge that."""
    products = np.exp(generator.uniform(np.log(300), np.log(200_000)))
    accuracy = generator.uniform(0.6, 0.995)
    bands = generator.dirichlet([1, 2, 7] if accuracy > 0.8 else [2, 3, 5], size=GROUPS)
    sizes = np.round(products * generator.dirichlet(np.full(GROUPS, 1.5))[:, None] * bands).astype(int).ravel()
    confidences = np.tile(CONFIDENCES, GROUPS)
    # Models believe too much of themselves, and not everywhere alike; some strata are right without exception.
    conceit = generator.normal(0, 0.08, sizes.shape) - (1 - accuracy) / 2 * generator.random(sizes.shape)
    chances = np.clip(confidences + conceit, 0.02, np.where(generator.random(sizes.shape) < 0.7, 1.0, 0.999))
    if generator.random() < 0.25:  # a model that is better than it says: hardly anything is wrong
        chances = 1 - (1 - chances) * generator.uniform(0.0, 0.2)
    usable = generator.binomial(sizes, generator.uniform(0.95, 1))
    right = generator.binomial(usable, chances)
    drawn = allocate(sizes.tolist(), confidences=confidences.tolist(), count=int(generator.choice(SAMPLES)))
    if generator.random() < 0.5:  # of the sample, in the order of chance, no more was looked at
        looked_at = min(int(drawn.sum()), max(40, int(drawn.sum() * generator.uniform(0.3, 1))))
        drawn = generator.multivariate_hypergeometric(drawn, looked_at)
    counted = generator.hypergeometric(usable, sizes - usable, drawn)
    found = generator.hypergeometric(right, usable - right, counted)
    columns = zip(sizes.tolist(), drawn.tolist(), counted.tolist(), found.tolist(), strict=True)
    share = estimate_share([Stratum(*numbers) for numbers in columns])
    assert share.low is not None
    assert share.high is not None
    textbook = _textbook_interval(sizes, seen=drawn, counted=counted, right=found)
    return Audit(right.sum() / usable.sum(), share.low, share.high, textbook)


def _textbook_interval(sizes: Any, *, seen: Any, counted: Any, right: Any) -> tuple[float, float]:
    """The normal interval of the ratio estimate (Cochran 1977, 6.11), strata that nobody saw left out."""
    looked_at = seen > 0
    sizes, seen, counted, right = (numbers[looked_at] for numbers in (sizes, seen, counted, right))
    weights = sizes / sizes.sum()
    judged = (weights * counted / seen).sum()
    share = (weights * right / seen).sum() / judged
    mean = (right * (1 - share) - (counted - right) * share) / seen
    squares = (right * (1 - share) ** 2 + (counted - right) * share**2) / seen - mean**2
    variance = (weights**2 * (1 - seen / sizes) * squares / np.maximum(seen - 1, 1)).sum() / judged**2
    half = STANDARD_DEVIATIONS * np.sqrt(max(0.0, variance))
    return share - half, share + half


def judge_audits(catalogues: int, *, seed: int) -> dict[str, Any]:
    """Return the share of audits whose interval holds the truth, and its mean width beside the textbook's."""
    generator = np.random.default_rng(seed)
    audits = [simulate_audit(generator) for _ in range(catalogues)]
    textbook = np.array([audit.textbook for audit in audits])
    truths = np.array([audit.truth for audit in audits])
    return {
        "catalogues": catalogues,
        "seed": seed,
        "held": float(np.mean([audit.holds for audit in audits])),
        "too_low": float(np.mean([audit.high + 1e-9 < audit.truth for audit in audits])),
        "held_by_textbook": float(((textbook[:, 0] <= truths) & (truths <= textbook[:, 1])).mean()),
        "width": float(np.mean([audit.high - audit.low for audit in audits])),
        "width_of_textbook": float((textbook[:, 1] - textbook[:, 0]).mean()),
    }


def main() -> int:
    """Judge the audits of simulated catalogues, and return 1 where their intervals are wrong or needlessly wide."""
    parser = argparse.ArgumentParser(prog="python -m tests.ml.judging.simulated_catalogues", description=main.__doc__)
    parser.add_argument("--catalogues", type=int, default=1_000, help="how many (%(default)s)")
    parser.add_argument("--seed", type=int, default=1, help="what they are made from (%(default)s)")
    parser.add_argument("--json", action="store_true", help="print the outcome as one JSON document")
    arguments = parser.parse_args()
    started = time.monotonic()
    outcome = judge_audits(arguments.catalogues, seed=arguments.seed)
    relative = outcome["width"] / outcome["width_of_textbook"]
    passed = LEAST_HELD <= outcome["held"] <= MOST_HELD and relative <= MOST_WIDTH
    outcome |= {
        "relative_width": relative,
        "passed": passed,
        "elapsed_seconds": round(time.monotonic() - started, 1),
    }
    sys.stdout.write((json.dumps(outcome) if arguments.json else str(outcome)) + "\n")
    return 0 if passed else 1


if __name__ == "__main__":
    sys.exit(main())

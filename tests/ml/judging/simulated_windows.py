"""Simulated windows and the accuracy told of them: ``python -m tests.ml.judging.simulated_windows``, or a line of
``make proof``.

Each window has another mix of groups than the one by which its model's confidence was made, a model of its own accuracy
and conceit, and 100 labels that people gave to an audit's sample. How often does the interval hold the truth, and how
wide is it beside that of 100 labels drawn at random, which know nothing of confidence?
"""

import argparse
import json
import sys
import time
from dataclasses import dataclass
from typing import Any

import numpy as np

from classifier.ml.judging.corrected import ConfidentStratum, estimate_corrected, find_mean_confidence
from classifier.ml.judging.sampling import BAND_STARTS, Stratum, allocate, estimate_share
from classifier.ml.judging.shares import Share, find_interval

GROUPS, LABELS = 5, 100
#: What the interval must hold, and how wide it may be beside the plain one.
LEAST_HELD, MOST_HELD, MOST_WIDTH = 0.93, 0.97, 0.95


@dataclass(frozen=True)
class Told:
    """The truth of a window, and what is said of it: by confidence and answers, the audit alone, and a plain sample."""

    truth: float
    corrected: Share
    audit: Share
    plain: tuple[float, float]
    confidence: float


def simulate(generator: np.random.Generator) -> Told:
    """Make a window of 500 to 20,000 pictures, draw 100 of them as an audit does, and tell its accuracy."""
    size = int(np.exp(generator.uniform(np.log(500), np.log(20_000))))
    groups = generator.choice(GROUPS, size, p=generator.dirichlet(np.full(GROUPS, 1.5)))
    # How well each group is known, and that one mix has more of the hard ones than another.
    skill = generator.uniform(1.0, 4.0) + generator.normal(0, 0.7, GROUPS)
    odds = skill[groups] + generator.normal(0, 1.5, size)
    confidence = np.maximum(0.3, 1 / (1 + np.exp(-odds)))
    # Conceited by as much as half a unit of log-odds, in each group otherwise; sharper or blunter than it should be.
    conceit = generator.normal(0.3, 0.4) + generator.normal(0, 0.3, GROUPS)
    right = generator.random(size) < 1 / (1 + np.exp(-(generator.uniform(0.6, 1.1) * odds - conceit[groups])))
    band = np.searchsorted(BAND_STARTS, confidence, side="right") - 1
    stratum = groups * len(BAND_STARTS) + band
    numbers = np.unique(stratum)
    sizes = [int((stratum == number).sum()) for number in numbers]
    means = [float(confidence[stratum == number].mean()) for number in numbers]
    drawn = _fit(allocate(sizes, confidences=means, count=LABELS), sizes=sizes)
    strata, plain_strata = [], []
    for number, amount in zip(numbers, drawn, strict=True):
        own = np.flatnonzero(stratum == number)
        asked = generator.choice(own, amount, replace=False)
        unknown = generator.random(amount) < 0.02
        answers = np.where(unknown, np.nan, right[asked])
        strata.append(ConfidentStratum(len(own), len(own), float(confidence[own].mean()), confidence[asked], answers))
        told = int((~unknown).sum())
        plain_strata.append(Stratum(len(own), amount, told, int(np.nansum(answers))))
    plain = find_interval(right[generator.choice(size, LABELS, replace=False)].sum(), of=LABELS)
    mean = find_mean_confidence(strata)
    assert mean is not None
    return Told(float(right.mean()), estimate_corrected(strata), estimate_share(plain_strata), plain, mean)


def _fit(drawn: Any, *, sizes: list[int]) -> list[int]:
    """The allocation with as many labels in all as there are, taken from or added to the largest."""
    amounts = drawn.tolist()
    while sum(amounts) > LABELS:
        amounts[int(np.argmax(amounts))] -= 1
    while sum(amounts) < LABELS:
        amounts[int(np.argmax(np.array(sizes) - amounts))] += 1
    return amounts


def judge_windows(windows: int, *, seed: int) -> dict[str, Any]:
    """Return how often the interval holds the truth, and its mean width beside the others'."""
    generator = np.random.default_rng(seed)
    told = [simulate(generator) for _ in range(windows)]
    truths = np.array([each.truth for each in told])
    outcome: dict[str, Any] = {"windows": windows, "seed": seed}
    for name in ("corrected", "audit", "plain"):
        edges = np.array([_find_edges(getattr(each, name)) for each in told])
        outcome[name] = {
            "held": float(((edges[:, 0] <= truths) & (truths <= edges[:, 1])).mean()),
            "width": float((edges[:, 1] - edges[:, 0]).mean()),
        }
    outcome["confidence_error"] = float(np.abs([each.confidence - each.truth for each in told]).mean())
    outcome["error"] = float(np.abs([(each.corrected.value or 0) - each.truth for each in told]).mean())
    outcome["relative_width"] = outcome["corrected"]["width"] / outcome["plain"]["width"]
    return outcome


def _find_edges(said: Share | tuple[float, float]) -> tuple[float, float]:
    if isinstance(said, Share):
        assert said.low is not None
        assert said.high is not None
        return said.low, said.high
    return said


def main() -> int:
    """Judge what is told of simulated windows, and return 1 where the intervals are wrong or no narrower."""
    parser = argparse.ArgumentParser(prog="python -m tests.ml.judging.simulated_windows", description=main.__doc__)
    parser.add_argument("--windows", type=int, default=1_000, help="how many (%(default)s)")
    parser.add_argument("--seed", type=int, default=1, help="what they are made from (%(default)s)")
    parser.add_argument("--json", action="store_true", help="print the outcome as one JSON document")
    arguments = parser.parse_args()
    started = time.monotonic()
    outcome = judge_windows(arguments.windows, seed=arguments.seed)
    held, width = outcome["corrected"]["held"], outcome["relative_width"]
    outcome["passed"] = LEAST_HELD <= held <= MOST_HELD and width <= MOST_WIDTH
    outcome["elapsed_seconds"] = round(time.monotonic() - started, 1)
    sys.stdout.write((json.dumps(outcome) if arguments.json else str(outcome)) + "\n")
    return 0 if outcome["passed"] else 1


if __name__ == "__main__":
    sys.exit(main())

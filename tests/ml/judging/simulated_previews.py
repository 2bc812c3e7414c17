"""How often the interval of a preview of a sample misses: ``python -m tests.ml.judging.simulated_previews``.

A catalogue of 100,000 products, of which a version would change a share; a shadow run looks at 2,000 drawn at random,
and the interval that its page shows either holds the share that the adoption finds, or does not. A line of ``make
proof``.
"""

import argparse
import json
import sys
from dataclasses import asdict, dataclass

import numpy as np

from classifier.ml.judging.shares import measure_share

PRODUCTS, SAMPLE = 100_000, 2_000
#: Of the products a version changes a share of between these, each as likely as any other on a scale of ratios.
SHARES = (0.002, 0.5)


@dataclass(frozen=True)
class Outcome:
    """Shares of the samples whose interval holds the truth, of all, and of those where few products change."""

    samples: int
    seed: int
    holds: float
    holds_below_two_percent: float

    def is_met(self) -> bool:
        """Whether as many hold the truth as are promised."""
        return 0.93 <= self.holds <= 0.97


def draw_previews(seed: int, *, samples: int) -> Outcome:
    """Draw so many samples, each of a catalogue of its own."""
    choose = np.random.default_rng(seed)
    shares = np.exp(choose.uniform(*np.log(SHARES), size=samples))
    changed = np.rint(PRODUCTS * shares).astype(np.int64)
    found = choose.hypergeometric(changed, PRODUCTS - changed, SAMPLE)
    told = [measure_share(int(number), of=SAMPLE) for number in found]
    holds = np.array(
        [share.low <= true <= share.high for share, true in zip(told, changed / PRODUCTS, strict=True)],  # type: ignore[operator]
    )
    return Outcome(samples, seed, float(holds.mean()), float(holds[shares < 0.02].mean()))


def main() -> int:
    """Print the shares, and return 1 where they are not what is promised."""
    parser = argparse.ArgumentParser(prog="python -m tests.ml.judging.simulated_previews", description=main.__doc__)
    parser.add_argument("--samples", type=int, default=20_000, help="how many there are (%(default)s)")
    parser.add_argument("--seed", type=int, default=1, help="of every choice (%(default)s)")
    parser.add_argument("--json", action="store_true", help="print the outcome as one JSON document")
    arguments = parser.parse_args()
    outcome = draw_previews(arguments.seed, samples=arguments.samples)
    sys.stdout.write((json.dumps(asdict(outcome)) if arguments.json else f"{outcome}") + "\n")
    return 0 if outcome.is_met() else 1


if __name__ == "__main__":
    sys.exit(main())

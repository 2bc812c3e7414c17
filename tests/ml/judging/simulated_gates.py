"""How often the gate is wrong: candidates that are as good, worse, or the same, drawn on 10,000 test pictures.

``python -m tests.ml.judging.simulated_gates``, or a line of ``make proof``. The groups are those of Fashion-MNIST. Two
versions differ on a share of the pictures, where one of them alone is right; of each such picture a coin says which.
"""

import argparse
import json
import sys
from dataclasses import asdict, dataclass

import numpy as np

from classifier.ml.judging.gate import compare_groups
from classifier.ml.labels import GROUPS

SIZES = (4000, 1000, 1000, 3000, 1000)
PICTURES, DIFFERING, MORE_WRONG = sum(SIZES), 0.02, 20


@dataclass(frozen=True)
class Outcome:
    """Shares of the candidates; `worse_let_through` by the size of the group of which 20 more are wrong."""

    candidates: int
    seed: int
    equal_refused: float
    identical_refused: float
    worse_let_through: dict[str, float]

    def is_met(self) -> bool:
        """Whether the figures that are promised hold: those of groups of 1,000."""
        found = (self.equal_refused <= 0.05, self.worse_let_through["1000"] <= 0.10, self.identical_refused == 0)
        return all(found)


def draw_gates(seed: int, *, candidates: int) -> Outcome:
    """Judge so many candidates of each kind."""
    choose = np.random.default_rng(seed)
    truth = np.repeat(np.arange(len(SIZES)), SIZES)

    def is_refused(*, differing: float, more_wrong_of: int | None = None) -> bool:
        candidate, other = truth.copy(), truth.copy()
        chosen = choose.permutation(PICTURES)[: int(differing * PICTURES)]
        coins = choose.random(len(chosen)) < 0.5
        for said, wrong in ((candidate, chosen[coins]), (other, chosen[~coins])):
            said[wrong] = (truth[wrong] + 1) % len(SIZES)
        if more_wrong_of is not None:
            right = np.flatnonzero((truth == more_wrong_of) & (candidate == truth) & (other == truth))
            wrong = choose.permutation(right)[:MORE_WRONG]
            candidate[wrong] = (truth[wrong] + 1) % len(SIZES)
        return any(found.is_worse for found in compare_groups(candidate, other=other, truth=truth, names=GROUPS))

    return Outcome(
        candidates=candidates,
        seed=seed,
        equal_refused=float(np.mean([is_refused(differing=DIFFERING) for _ in range(candidates)])),
        identical_refused=float(np.mean([is_refused(differing=0.0) for _ in range(candidates)])),
        worse_let_through={
            str(SIZES[group]): float(
                np.mean([not is_refused(differing=DIFFERING, more_wrong_of=group) for _ in range(candidates)])
            )
            for group in (1, 3, 0)
        },
    )


def main() -> int:
    """Print the figures, and return 1 where they are not what is promised."""
    parser = argparse.ArgumentParser(prog="python -m tests.ml.judging.simulated_gates", description=main.__doc__)
    parser.add_argument("--candidates", type=int, default=4000, help="of each kind (%(default)s)")
    parser.add_argument("--seed", type=int, default=1, help="of every choice (%(default)s)")
    parser.add_argument("--json", action="store_true", help="print the outcome as one JSON document")
    arguments = parser.parse_args()
    outcome = draw_gates(arguments.seed, candidates=arguments.candidates)
    sys.stdout.write((json.dumps(asdict(outcome)) if arguments.json else f"{outcome}") + "\n")
    return 0 if outcome.is_met() else 1


if __name__ == "__main__":
    sys.exit(main())

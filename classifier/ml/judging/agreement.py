"""How far two people agree on the same pictures: raw, and corrected for what chance would give (Gwet 2008's AC1).

Where most pictures are of few groups, Cohen's kappa is low however well two agree; AC1 is not.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

from classifier.ml.judging.shares import LEAST_COUNT, STANDARD_DEVIATIONS, Share, measure_share
from classifier.ml.labels import GROUPS

#: What two people may say: a group, or one of the two verdicts that name none.
_CATEGORIES: Final = len(GROUPS) + 2


@dataclass(frozen=True, slots=True)
class Agreement:
    """Of pairs of answers the share that agree, and AC1, at most 1 and 0 for chance, each with its 95 % interval.

    Nothing is told of fewer than ``LEAST_COUNT`` pairs.
    """

    raw: Share
    ac1: Share


def measure_agreement(pairs: Sequence[tuple[str, str]]) -> Agreement:
    """The agreement of pairs of answers, each a group or another verdict by its name."""
    count = len(pairs)
    agreed = np.array([first == second for first, second in pairs], dtype=float)
    raw = measure_share(float(agreed.sum()), of=count)
    if count < LEAST_COUNT:
        return Agreement(raw, Share(None, None, None, count=count))
    names = {name: index for index, name in enumerate(sorted({name for pair in pairs for name in pair}))}
    said = np.zeros((count, len(names)))
    for row, pair in zip(said, pairs, strict=True):
        for name in pair:
            row[names[name]] += 0.5
    # What nobody said adds nothing to the sums, and yet might have been said.
    shares = said.mean(axis=0)
    by_chance = said @ (1 - shares) / (_CATEGORIES - 1)
    chance = float(by_chance.mean())
    ac1 = (float(agreed.mean()) - chance) / (1 - chance)
    linear = (agreed - chance) / (1 - chance) - 2 * (1 - ac1) * (by_chance - chance) / (1 - chance)
    half = STANDARD_DEVIATIONS * float(np.sqrt(((linear - ac1) ** 2).sum() / (count * (count - 1))))
    return Agreement(raw, Share(ac1, max(-1.0, ac1 - half), min(1.0, ac1 + half), count=count))


def measure_group_agreement(pairs: Sequence[tuple[str, str]], *, group: str) -> Share:
    """Of the pairs in which somebody says the group, the share in which both do."""
    said = [pair for pair in pairs if group in pair]
    return measure_share(sum(first == second for first, second in said), of=len(said))

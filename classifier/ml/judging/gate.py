"""Whether one version is worse than another, judged on the same pictures."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from math import sqrt
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from classifier.ml.judging.shares import LEAST_COUNT, STANDARD_DEVIATIONS

#: A candidate may be right on so many pictures less, times the root of their number: 67 of 10,000.
MARGIN: Final = 0.67
#: The same of one group, 24 of 1,000. Of more pictures the number grows with the cube root alone: the root would spend
#: most of what may be refused wrongly on small groups, where that finds nothing more. All questions about 10,000 test
#: pictures together refuse 2 to 3 of 100 candidates that are as good and differ on 2 % of the pictures.
GROUP_MARGIN: Final = 0.76
LARGE_GROUP: Final = 1000
#: What is asked of all pictures.
ALL: Final = "all groups"
GARMENTS: Final = "garments"


@dataclass(frozen=True, slots=True)
class Comparison:
    """By how much more of the pictures a candidate is right, -1..1, with the 95 % interval from ``low`` to ``high``.

    ``of`` says which pictures and what is asked of them: a group, ``ALL`` or ``GARMENTS``.
    """

    images: int
    difference: float
    low: float
    high: float
    margin: float
    of: str = ALL

    @property
    def is_worse(self) -> bool:
        """Whether the candidate may be worse by more than the margin: too few pictures count against it."""
        return self.low < -self.margin

    def to_json(self) -> dict[str, Any]:
        """The comparison as plain JSON, its numbers rounded: a document is the same wherever it was stored."""
        return {name: round(value, 6) if isinstance(value, float) else value for name, value in asdict(self).items()}

    def __str__(self) -> str:
        found, low, high, margin = (
            f"{100 * edge:+.2f}" for edge in (self.difference, self.low, self.high, -self.margin)
        )
        return f"{self.of}: {found} points ({low} to {high}, margin {margin}) on the same {self.images:,} pictures"


def compare(
    candidate: NDArray[np.bool_], *, other: NDArray[np.bool_], margin: float | None = None, of: str = ALL
) -> Comparison:
    """The comparison of where the candidate and where the other is right, bool[N] of the same pictures.

    Only pictures of which one alone is right count. The interval is that of Agresti and Min (2005) for a difference of
    paired shares. Without a ``margin`` it is ``MARGIN`` over the root of N. Raises ``ValueError`` for no pictures or
    other lengths.
    """
    count = len(candidate)
    if not count or len(other) != count:
        raise ValueError(f"expected as many pictures of both, and at least one, received {count} and {len(other)}")
    won, lost = int((candidate & ~other).sum()), int((other & ~candidate).sum())
    # Half a picture more in each cell: no interval is of no width, where the two say the same as well.
    total, difference = count + 2, (won - lost) / (count + 2)
    half = STANDARD_DEVIATIONS * sqrt(won + lost + 1 - total * difference**2) / total
    return Comparison(
        images=count,
        difference=(won - lost) / count,
        low=difference - half,
        high=difference + half,
        margin=MARGIN / sqrt(count) if margin is None else margin,
        of=of,
    )


def find_group_margin(count: int) -> float:
    """The share of so many pictures of one group on which a candidate may be right less."""
    return float(GROUP_MARGIN / sqrt(count) * min(1.0, (LARGE_GROUP / count) ** (1 / 6)))


def compare_groups(
    candidate: NDArray[np.integer], *, other: NDArray[np.integer], truth: NDArray[np.integer], names: Sequence[str]
) -> list[Comparison]:
    """The comparisons over all pictures and over those of each group, from what is said and true, int[N] of ``names``.

    A group of fewer than 30 pictures is counted among all alone. Empty where all are fewer.
    """
    right, others = candidate == truth, other == truth
    chosen = {ALL: np.ones(len(truth), dtype=np.bool_)} | {name: truth == index for index, name in enumerate(names)}
    numbers = {name: int(part.sum()) for name, part in chosen.items()}
    return [
        compare(
            right[part],
            other=others[part],
            margin=None if name == ALL else find_group_margin(numbers[name]),
            of=name,
        )
        for name, part in chosen.items()
        if numbers[name] >= LEAST_COUNT
    ]

"""Whether one version is worse than another, judged on the same pictures."""

from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from classifier.ml.judging.shares import STANDARD_DEVIATIONS

#: By so much less of the pictures a candidate may be right: half a point of accuracy over the groups. A candidate that
#: is as good, and says something else of 1 % of 6,000 pictures, is taken for worse 3 times of 100.
MARGIN: Final = 0.005


@dataclass(frozen=True, slots=True)
class Comparison:
    """By how much more of the pictures a candidate is right, -1..1, with the 95 % interval from ``low`` to ``high``."""

    images: int
    difference: float
    low: float
    high: float
    margin: float

    @property
    def is_worse(self) -> bool:
        """Whether the candidate may be worse by more than the margin: too few pictures count against it."""
        return self.low < -self.margin

    def to_json(self) -> dict[str, Any]:
        """The comparison as plain JSON."""
        return {name: getattr(self, name) for name in ("images", "difference", "low", "high", "margin")}

    def __str__(self) -> str:
        low, high = (f"{100 * edge:+.2f}" for edge in (self.low, self.high))
        return (
            f"{100 * self.difference:+.2f} points of accuracy over groups ({low} to {high}) on the same "
            f"{self.images:,} pictures"
        )


def compare(candidate: NDArray[np.bool_], *, other: NDArray[np.bool_], margin: float = MARGIN) -> Comparison:
    """The comparison of where the candidate and where the other is right, bool[N] of the same pictures.

    Only pictures of which the two say different things count. The interval is that of Agresti and Min (2005) for a
    difference of paired shares. Raises ``ValueError`` for no pictures or other lengths.
    """
    count = len(candidate)
    if not count or len(other) != count:
        raise ValueError(f"expected as many pictures of both, and at least one, received {count} and {len(other)}")
    won, lost = int((candidate & ~other).sum()), int((other & ~candidate).sum())
    # Half a picture more in each cell: no interval is of no width, where the two say the same as well.
    total, difference = count + 2, (won - lost) / (count + 2)
    half = STANDARD_DEVIATIONS * np.sqrt(won + lost + 1 - total * difference**2) / total
    return Comparison(
        images=count,
        difference=(won - lost) / count,
        low=float(difference - half),
        high=float(difference + half),
        margin=margin,
    )

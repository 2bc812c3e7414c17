"""Shares, and how sure one may be of them: a value beside an interval, and nothing where there are too few."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

#: Of fewer no share is told.
LEAST_COUNT: Final = 30
#: So many on both sides of its mean hold 95 % of a normal distribution.
STANDARD_DEVIATIONS: Final = 1.959964


@dataclass(frozen=True, slots=True)
class Share:
    """A share of ``count`` things, 0..1, and the 95 % interval from ``low`` to ``high``.

    All three are None where there are fewer than ``LEAST_COUNT``.
    """

    value: float | None
    low: float | None
    high: float | None
    count: int

    def to_json(self) -> dict[str, Any]:
        """The share as plain JSON."""
        return {"value": self.value, "low": self.low, "high": self.high, "count": self.count}


def measure_share(chosen: float, *, of: int) -> Share:
    """The share of those chosen, with Wilson's interval; ``chosen`` may be no whole number where ties are shared out.

    Raises ``ValueError`` for more chosen than there are.
    """
    if not 0 <= chosen <= of + 1e-9:
        raise ValueError(f"expected from 0 to {of} chosen, received {chosen}")
    if of < LEAST_COUNT:
        return Share(None, None, None, count=of)
    return Share(chosen / of, *find_interval(chosen, of=of), count=of)


def find_interval(chosen: float, *, of: float) -> tuple[float, float]:
    """Wilson's 95 % interval of a share of more than none; it stays within 0..1 and is never of no width."""
    share, weight = chosen / of, STANDARD_DEVIATIONS**2 / of
    middle = (share + weight / 2) / (1 + weight)
    half = STANDARD_DEVIATIONS / (1 + weight) * np.sqrt(share * (1 - share) / of + weight / (4 * of))
    return max(0.0, float(middle - half)), min(1.0, float(middle + half))


def measure_mean_share(parts: Sequence[tuple[float, int]]) -> Share:
    """The mean of the shares of (chosen, of) pairs, those of nothing left out; one of few weighs as much as any other.

    Its interval is made of theirs (Zou and Donner 2008), so that a part of few makes it wide. ``count`` is the sum.
    """
    known = [(chosen, of) for chosen, of in parts if of]
    count = sum(of for _, of in known)
    if count < LEAST_COUNT:
        return Share(None, None, None, count=count)
    shares = np.array([chosen / of for chosen, of in known])
    low, high = np.array([find_interval(chosen, of=of) for chosen, of in known]).T
    mean, number = float(shares.mean()), len(known)
    return Share(
        value=mean,
        low=max(0.0, mean - _length(shares - low) / number),
        high=min(1.0, mean + _length(high - shares) / number),
        count=count,
    )


def _length(differences: NDArray[np.float64]) -> float:
    return float(np.sqrt((differences**2).sum()))

"""How much of a catalogue is right, told from a stratified random sample of it, and what a larger sample would tell.

The sample is drawn without replacement within strata (groups by confidence), of which the doubtful ones get more than
their share. The estimate weighs what was found in each by its size (Cochran 1977, "Sampling techniques", chapters 5
and 6), so that it is one of the catalogue and not of the sample.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from classifier.ml.judging.shares import LEAST_COUNT, Share, find_interval

#: Where bands of confidence begin.
BAND_STARTS: Final = (0.0, 0.6, 0.9)
#: Each stratum is drawn as if at least so much of it were wrong: confidence is no more than a model's word.
_LEAST_DOUBT: Final = 0.07
#: Of a stratum that has anything at least so many are drawn.
_LEAST_DRAWN: Final = 2
#: A stratum's variance counts so many more answers, as right as all others together: of few that are all right it would
#: be none. No sample counts as so much more than a plain random one in its place that its variance is below this share
#: of that one's. Chosen on simulated catalogues; without the second, 78 % of the intervals of nearly perfect ones hold.
_PSEUDO_ANSWERS: Final = 2.0
_LEAST_VARIANCE: Final = 0.5
#: Half widths of an interval that are worth asking for, in points, the widest first.
_HALF_WIDTHS: Final = (10, 7, 5, 4, 3, 2, 1)


@dataclass(frozen=True, slots=True)
class Stratum:
    """A part of a catalogue, and what a random sample of it showed.

    Of its ``size`` products ``seen`` were looked at; of these ``counted`` could be judged, and ``right`` were right.
    """

    size: int
    seen: int
    counted: int
    right: int

    def __post_init__(self) -> None:
        if not 0 <= self.right <= self.counted <= self.seen <= self.size:
            raise ValueError(f"expected right <= counted <= seen <= size, received {self}")


def find_band(confidence: float) -> int:
    """The band, an index into ``BAND_STARTS``, of a confidence of 0..1."""
    return int(np.searchsorted(BAND_STARTS, confidence, side="right")) - 1


def allocate(sizes: Sequence[int], *, confidences: Sequence[float], count: int) -> NDArray[np.int64]:
    """How many products of each stratum to draw, int64[S], for a sample of about ``count``.

    In proportion to size and to the standard deviation that a stratum of that mean confidence has (Neyman 1934).
    """
    size, right = np.array(sizes, dtype=np.int64), np.clip(confidences, 0.5, 1 - _LEAST_DOUBT)
    wanted = size * np.sqrt(right * (1 - right))
    shares = wanted / max(wanted.sum(), 1e-12)
    return np.asarray(np.minimum(size, np.maximum(_LEAST_DRAWN, np.rint(count * shares).astype(np.int64))))


def estimate_share(strata: Sequence[Stratum]) -> Share:
    """The share of the catalogue's products that are right, among those that could be judged; ``count`` is how many.

    Strata of which nothing was seen count as those before them, so neighbours should be alike. A ratio estimate; its
    interval is Wilson's for as many answers as a plain random sample would need to be as sure (Korn and Graubard 1998).
    """
    count = sum(stratum.counted for stratum in strata)
    if count < LEAST_COUNT:
        return Share(None, None, None, count=count)
    size, seen, counted, right = _merge_unseen(strata)
    weight, unseen = size / size.sum(), 1 - seen / size
    judged = float((weight * counted / seen).sum())
    share = min(1.0, float((weight * right / seen).sum()) / judged)
    # What the ratio leaves of each answer is 1 - share where it is right, -share where it is not, else nothing.
    typical = (share * count + 1) / (count + 2)
    more = _PSEUDO_ANSWERS * counted / seen
    right, wrong, seen_more = right + more * typical, counted - right + more * (1 - typical), seen + _PSEUDO_ANSWERS
    mean = (right * (1 - typical) - wrong * typical) / seen_more
    squares = (right * (1 - typical) ** 2 + wrong * typical**2) / seen_more
    plainly = typical * (1 - typical) * counted.sum() / seen.sum()
    variances = [(weight**2 * unseen * each / seen).sum() for each in (squares - mean**2, _LEAST_VARIANCE * plainly)]
    variance = float(max(variances)) / judged**2
    if not variance:  # everything was seen
        return Share(share, share, share, count=count)
    plain = typical * (1 - typical) / variance
    return Share(share, *find_interval(share * plain, of=plain), count=count)


def count_further(share: Share) -> tuple[float, int, int] | None:
    """(Half the interval's width in points, answers to add, the half width in points that they buy), or None.

    The next whole half width that is worth asking for; an interval shrinks with the root of its answers.
    """
    if share.low is None or share.high is None:
        return None
    half = 50 * (share.high - share.low)
    narrower = [width for width in _HALF_WIDTHS if width < half - 0.5]
    if not narrower:
        return None
    return half, int(np.ceil(share.count * ((half / narrower[0]) ** 2 - 1))), narrower[0]


def _merge_unseen(strata: Sequence[Stratum]) -> NDArray[np.float64]:
    """Sizes, and how many were seen, counted and right, float64[4, S], of the strata of which anything was seen."""
    rows: list[list[int]] = []
    ahead = 0
    for stratum in strata:
        if stratum.seen:
            rows.append([stratum.size + ahead, stratum.seen, stratum.counted, stratum.right])
            ahead = 0
        elif rows:
            rows[-1][0] += stratum.size
        else:
            ahead += stratum.size
    return np.array(rows, dtype=np.float64).T

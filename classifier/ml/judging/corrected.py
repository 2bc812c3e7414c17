"""How much of a catalogue is right, told from the version's confidence in all of it and people's answers to a few.

The mean confidence alone is a model's word, and wrong by as much as the model is conceited. The answers say by how
much, and since they correct something that is nearly right it takes fewer of them than to tell it from nothing:
prediction-powered inference (Angelopoulos and others 2023), a difference estimate (Särndal, Swensson and Wretman 1992).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from classifier.ml.judging.shares import LEAST_COUNT, Share, find_interval

#: Each stratum's variance counts so many answers more, which are as all others: of two or three it would be chance.
_PSEUDO_ANSWERS: Final = 2.0
#: No sample counts as so much more than a plain random one in its place that its variance is below this share of that
#: one's; chosen on simulated windows, as the same of the audit's own estimate.
_LEAST_VARIANCE: Final = 0.5


@dataclass(frozen=True, slots=True)
class ConfidentStratum:
    """A part of a catalogue: how sure the version is of it, and what a random sample of it showed.

    Of its ``size`` products ``drawn`` were drawn at random, whose mean confidence is ``mean``. People answered for some
    of these, whose confidences are ``confidences`` float[n]; ``right`` float[n] is 1 where the label is right, 0 where
    it is not, NaN where nothing could be told.
    """

    size: int
    drawn: int
    mean: float
    confidences: NDArray[np.float64]
    right: NDArray[np.float64]

    def __post_init__(self) -> None:
        if not len(self.confidences) == len(self.right) <= self.drawn <= self.size:
            raise ValueError(
                f"expected a confidence for each answer and answers <= drawn <= size, received {len(self.confidences)} "
                f"confidences, {len(self.right)} answers, {self.drawn} drawn of {self.size}"
            )


def find_mean_confidence(strata: Sequence[ConfidentStratum]) -> float | None:
    """The mean confidence of all products, which says how many the version believes to be right; None of none."""
    size = sum(stratum.size for stratum in strata)
    return sum(stratum.size * stratum.mean for stratum in strata) / size if size else None


def estimate_corrected(strata: Sequence[ConfidentStratum]) -> Share:
    """The share that is right, with its 95 % interval; ``count`` is how many answers told something.

    The order of the strata does not matter. Those without answers are as conceited as the others together. How much the
    confidence counts is chosen by how far it agrees with the answers: where it does not, it counts nothing.
    """
    seen = [stratum for stratum in strata if len(stratum.right)]
    count = int(sum(np.isfinite(stratum.right).sum() for stratum in seen))
    if count < LEAST_COUNT:
        return Share(None, None, None, count=count)
    total = sum(stratum.size for stratum in seen)
    weights = np.concatenate([np.full(len(s.right), s.size / total / len(s.right)) for s in seen])
    right = np.concatenate([stratum.right for stratum in seen])
    told = np.isfinite(right)
    right = np.where(told, right, 0.0)
    confidence = np.concatenate([stratum.confidences for stratum in seen])
    of = np.repeat(np.arange(len(seen)), [len(stratum.right) for stratum in seen])
    trust = _find_trust(right, confidence, told=told, of=of, weights=weights)
    left = right - trust * confidence
    judged = float((weights * told).sum())
    correction = float((weights * told * left).sum()) / judged
    share = float(np.clip(correction + trust * (find_mean_confidence(strata) or 0.0), 0.0, 1.0))
    # What each answer adds beside the confidence that was corrected, and what it would add without that.
    corrected = np.where(told, left - correction, 0.0) / judged
    plain = np.where(told, right - share, 0.0) / judged
    typical = (share * count + 1) / (count + 2)
    variance = 0.0
    for number, stratum in enumerate(seen):
        answered = 1 / len(stratum.right)
        parts = ((corrected, answered - 1 / stratum.drawn), (plain, 1 / stratum.drawn - 1 / stratum.size))
        scatter = sum(_measure_scatter(apart, of == number, weights=weights) * share for apart, share in parts)
        variance += (stratum.size / total) ** 2 * scatter
    unseen = 1 - len(right) / max(len(right), total)
    variance = max(variance, unseen * _LEAST_VARIANCE * typical * (1 - typical) / count)
    if not variance:  # everything was seen
        return Share(share, share, share, count=count)
    worth = typical * (1 - typical) / variance
    return Share(share, *find_interval(share * worth, of=worth), count=count)


def _measure_scatter(apart: NDArray[np.float64], own: NDArray[np.bool_], *, weights: NDArray[np.float64]) -> float:
    """The variance of a stratum's answers, drawn towards that of all."""
    values = apart[own]
    squares = ((values - values.mean()) ** 2).sum() + _PSEUDO_ANSWERS * (weights * apart**2).sum()
    return float(squares / (len(values) - 1 + _PSEUDO_ANSWERS))


def _find_trust(
    right: NDArray[np.float64],
    confidence: NDArray[np.float64],
    *,
    told: NDArray[np.bool_],
    of: NDArray[np.int64],
    weights: NDArray[np.float64],
) -> float:
    """How much of the confidence is taken, 0..1: what makes the variance within strata smallest, drawn towards all."""
    both = np.zeros(2)
    for number in np.unique(of[told]):
        own = told & (of == number)
        if own.sum() > 1:
            about = confidence[own] - confidence[own].mean()
            scale = weights[own][0] ** 2 * own.sum() / (own.sum() - 1)
            both += scale * np.array([(about * right[own]).sum(), (about**2).sum()])
    return float(np.clip(both[0] / both[1], 0.0, 1.0)) if both[1] > 1e-12 else 0.0

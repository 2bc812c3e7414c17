"""Heads that reviews teach: for the groups of photographs, for what is none of them, and for titles.

No network is trained: on studio pictures one that was went on no better than heads on what it saw, and forgot
Fashion-MNIST. Temperature, thresholds and whether titles count are chosen on answers out of fold: those of heads that
were taught without the family of the picture.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
import scipy
from numpy.typing import NDArray

from classifier.ml.heads import (
    CLASSES,
    GroupHead,
    Heads,
    NoneHead,
    SeenPictures,
    TitleHead,
    answer_undoubted,
    log_answer,
    trust_photographs,
)
from classifier.ml.judging.calibration import Calibration, choose_threshold, find_best_factor
from classifier.ml.judging.fusion import DOUBTED
from classifier.ml.judging.photographs import doubt
from classifier.ml.judging.shares import STANDARD_DEVIATIONS
from classifier.ml.labels import GROUPS
from classifier.ml.teaching.group_heads import fit_logistic
from classifier.ml.text.ngrams import count_ngrams

#: The class of what is none of the groups.
NONE: Final = len(GROUPS)
#: So many pictures of garments teach a head, of two groups at least.
MINIMUM_REVIEWS: Final = 30
#: From so many pictures called none of these on they teach what is none; before, what is far from garments is unsure.
MINIMUM_MARKS: Final = 30
FOLDS: Final = 5
#: So much of the garments that are answered is right out of fold, and nothing is answered below this confidence:
#: pictures that come later are of other brands.
TARGET_PRECISION: Final = 0.98
LEAST_CONFIDENCE: Final = 0.8
#: How much the base's own answer counts beside what reviews taught.
PRIOR: Final = 0.5
#: How much titles count against small weights.
TITLE_STRENGTH: Final = 10.0
NONE_STRENGTH: Final = 10.0
#: Of reviewed garments this share may be unsure for being far from the others, while nothing is marked as none.
_FAR_SHARE: Final = 0.05
_SHRINKAGE: Final = 0.1
#: A photograph that is trusted less than this looks turned.
_LOOKS_TURNED: Final = 0.5
_ODDS_OF_TYPICAL: Final = 0.01
_TEMPERATURES: Final = (0.2, 10.0)
_POWERS: Final = (0.05, 3.0)


class TooFewReviewsError(ValueError):
    """There are too few reviewed pictures to teach a head; the message says how many, and how many it takes."""


@dataclass(frozen=True, slots=True)
class ReviewedPictures:
    """N photographs of which people said what they show.

    ``classes`` int[N] are indices of groups, or ``NONE``. ``titles`` are those of products that show them, or empty.
    ``families`` int[N] tells near-duplicates: those of a family are taught or asked together.
    """

    seen: SeenPictures
    classes: NDArray[np.int64]
    titles: Sequence[str]
    families: NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Retrained:
    """Heads, and what those that were taught without a picture's family said of it.

    ``by_pictures`` and, with titles where they count, ``by_both`` are probabilities float64[N, 6] of the classes of
    ``ReviewedPictures``. ``title_gain`` is by how much titles made the mean log-loss less, with half its 95 % interval;
    None with too few titles.
    """

    heads: Heads
    by_pictures: NDArray[np.float64]
    by_both: NDArray[np.float64]
    title_gain: tuple[float, float] | None


def retrain(reviewed: ReviewedPictures, *, calibration: Calibration, first: GroupHead | None = None) -> Retrained:
    """The heads that reviewed photographs teach on the base whose calibration this is.

    ``first`` is what answered for photographs before any review, if not the base alone: it counts as the prior. Raises
    ``TooFewReviewsError``.
    """
    classes, folds = reviewed.classes, assign_folds(reviewed.families)
    garments = classes != NONE
    if garments.sum() < MINIMUM_REVIEWS or len(np.unique(classes[garments])) < 2:
        raise TooFewReviewsError(
            f"expected {MINIMUM_REVIEWS} reviewed pictures of garments, of two groups at least, received "
            f"{garments.sum()} of {len(np.unique(classes[garments]))}"
        )
    features = reviewed.seen.features.astype(np.float64)
    prior = PRIOR * log_answer(answer_undoubted(reviewed.seen, heads=Heads(calibration, first=first)))
    trust = trust_photographs(reviewed.seen, calibration=calibration)

    def teach_groups(taught: NDArray[np.bool_]) -> GroupHead:
        chosen = taught & garments
        weights, bias = fit_logistic(features[chosen], classes=classes[chosen], count=len(GROUPS), offset=prior[chosen])
        return GroupHead(weights.astype(np.float32), bias.astype(np.float32), prior=PRIOR)

    def answer(taught: NDArray[np.bool_], asked: NDArray[np.bool_]) -> NDArray[np.float64]:
        head = teach_groups(taught)
        return np.asarray(features[asked] @ head.weights + head.bias + prior[asked])

    logits = _ask_out_of_fold(answer, folds=folds)
    doubts = _measure_doubts(trust[garments], wrong=logits[garments].argmax(axis=1) != classes[garments])
    trust = 1 - doubts * (1 - trust)
    temperature = _fit_temperature(logits[garments], classes=classes[garments], trust=trust[garments])
    groups = doubt(scipy.special.softmax(logits / temperature, axis=1), trust=trust)
    nones, none_head = _teach_none(features, classes=classes, folds=folds)
    pictures = np.column_stack([groups * (1 - nones)[:, None], nones])
    by_both, titles, gain = _teach_titles(reviewed.titles, pictures=pictures, classes=classes, folds=folds)
    head = teach_groups(np.ones(len(classes), dtype=bool))
    threshold = choose_threshold(
        groups[garments].max(axis=1),
        right=groups[garments].argmax(axis=1) == classes[garments],
        target_precision=TARGET_PRECISION,
    )
    return Retrained(
        heads=Heads(
            calibration,
            photographs=GroupHead(
                (head.weights / temperature).astype(np.float32),
                (head.bias / temperature).astype(np.float32),
                prior=PRIOR / temperature,
                doubts=doubts,
                undoubted=1.0,
            ),
            first=first,
            none=none_head,
            titles=titles,
            threshold=max(LEAST_CONFIDENCE, threshold),
        ),
        by_pictures=pictures,
        by_both=by_both,
        title_gain=gain,
    )


def assign_folds(families: NDArray[np.integer]) -> NDArray[np.int64]:
    """The fold of each picture, int64[N], that of its family; folds have about as many pictures each."""
    numbers, members, sizes = np.unique(families, return_inverse=True, return_counts=True)
    order = np.random.default_rng(0).permutation(len(numbers))
    of_family = np.empty(len(numbers), dtype=np.int64)
    of_family[order] = (np.cumsum(sizes[order]) - sizes[order]) * FOLDS // len(families)
    return of_family[members]


def _ask_out_of_fold(
    answer: Callable[[NDArray[np.bool_], NDArray[np.bool_]], NDArray[np.float64]], *, folds: NDArray[np.int64]
) -> NDArray[np.float64]:
    """What ``answer(taught, asked)`` says of the pictures of each fold when taught by the others."""
    parts = {fold: answer(folds != fold, folds == fold) for fold in np.unique(folds).tolist()}
    first = next(iter(parts.values()))
    said = np.empty((len(folds), *first.shape[1:]))
    for fold, part in parts.items():
        said[folds == fold] = part
    return said


def _mean_loss(logs: NDArray[np.float64], *, classes: NDArray[np.int64]) -> float:
    """The mean over classes of the mean log-loss of each."""
    losses = -logs[np.arange(len(classes)), classes]
    return float(np.mean([losses[classes == one].mean() for one in np.unique(classes)]))


def _measure_doubts(trust: NDArray[np.float64], *, wrong: NDArray[np.bool_]) -> float:
    """How much of the doubt about photographs that look turned is borne out, 0 to 1: the share of them that is wrong.

    Each counts by how little it is trusted, and one that nobody saw as wrong: without reviews of such all doubt stays.
    Of those that look upright there is a little doubt too, which says nothing of turned ones.
    """
    doubted = np.where(trust < _LOOKS_TURNED, 1 - trust, 0.0)
    return float((1 + doubted[wrong].sum()) / (1 + doubted.sum()))


def _fit_temperature(logits: NDArray[np.float64], *, classes: NDArray[np.int64], trust: NDArray[np.float64]) -> float:
    return find_best_factor(
        lambda value: _mean_loss(
            log_answer(doubt(scipy.special.softmax(logits / value, axis=1), trust=trust)), classes=classes
        ),
        bounds=_TEMPERATURES,
    )


def _teach_none(
    features: NDArray[np.float64], *, classes: NDArray[np.int64], folds: NDArray[np.int64]
) -> tuple[NDArray[np.float64], NoneHead]:
    """What was said out of fold of none of the groups, float64[N], and the head."""
    marked = (classes == NONE).astype(np.int64)
    if marked.sum() < MINIMUM_MARKS:
        return _measure_distance(features, folds=folds, marked=marked)

    def teach(taught: NDArray[np.bool_]) -> tuple[NDArray[np.float64], float]:
        weights, bias = fit_logistic(features[taught], classes=marked[taught], count=2, strength=NONE_STRENGTH)
        return weights[:, 1] - weights[:, 0], float(bias[1] - bias[0])

    def answer(taught: NDArray[np.bool_], asked: NDArray[np.bool_]) -> NDArray[np.float64]:
        weights, bias = teach(taught)
        return np.asarray(features[asked] @ weights + bias)

    odds = _ask_out_of_fold(answer, folds=folds)
    factor, shift = _fit_odds(odds, marked=marked)
    weights, bias = teach(np.ones(len(features), dtype=bool))
    width = features.shape[1]
    head = NoneHead(
        mean=np.zeros(width, np.float32),
        weights=(factor * weights).astype(np.float32),
        roots=np.zeros((width, 0), np.float32),
        bias=factor * bias + shift,
    )
    return scipy.special.expit(factor * odds + shift), head


def _measure_distance(
    features: NDArray[np.float64], *, folds: NDArray[np.int64], marked: NDArray[np.int64]
) -> tuple[NDArray[np.float64], NoneHead]:
    """The same where next to nothing is marked: how far a picture is from those of garments (Mahalanobis).

    Out of fold, ``_FAR_SHARE`` of the garments are so far that it may be none as well as not.
    """

    def teach(taught: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        mean = taught.mean(axis=0)
        covariance = np.cov(taught, rowvar=False)
        # Ledoit and Wolf's form: drawn towards equal variances, for there are hardly more pictures than features.
        even = np.trace(covariance) / len(covariance) * np.eye(len(covariance))
        values, vectors = np.linalg.eigh((1 - _SHRINKAGE) * covariance + _SHRINKAGE * even)
        return mean, vectors / np.sqrt(values)

    def answer(taught: NDArray[np.bool_], asked: NDArray[np.bool_]) -> NDArray[np.float64]:
        mean, roots = teach(features[taught & (marked == 0)])
        return np.asarray((((features[asked] - mean) @ roots) ** 2).sum(axis=1))

    distances = _ask_out_of_fold(answer, folds=folds)
    typical, far = np.quantile(distances[marked == 0], [0.5, 1 - _FAR_SHARE])
    factor = -np.log(_ODDS_OF_TYPICAL) / (far - typical)
    mean, roots = teach(features[marked == 0])
    head = NoneHead(
        mean=mean.astype(np.float32),
        weights=np.zeros(len(mean), np.float32),
        roots=(np.sqrt(factor) * roots).astype(np.float32),
        bias=float(-factor * far),
    )
    return np.minimum(scipy.special.expit(factor * (distances - far)), DOUBTED), head


def _fit_odds(odds: NDArray[np.float64], *, marked: NDArray[np.int64]) -> tuple[float, float]:
    """The factor and the shift that make log-odds float[N] those of what is marked (Platt's scaling)."""

    def loss(numbers: NDArray[np.float64]) -> float:
        said = np.exp(numbers[0]) * odds + numbers[1]
        return float((np.logaddexp(0, said) - marked * said).mean())

    logarithm, shift = scipy.optimize.minimize(loss, np.zeros(2), method="Nelder-Mead").x
    return float(np.exp(logarithm)), float(shift)


def _teach_titles(
    titles: Sequence[str], *, pictures: NDArray[np.float64], classes: NDArray[np.int64], folds: NDArray[np.int64]
) -> tuple[NDArray[np.float64], TitleHead | None, tuple[float, float] | None]:
    """What pictures and titles say out of fold, float64[N, 6], the head of titles, and what it gains.

    There is no head, and the pictures alone are asked, where it does not make the log-loss of pictures less by more
    than the interval of that.
    """
    titled = np.array([bool(title) for title in titles])
    if titled.sum() < MINIMUM_REVIEWS:
        return pictures, None, None
    counts = count_ngrams(titles)

    def teach(taught: NDArray[np.bool_]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        chosen = np.flatnonzero(taught & titled)
        return _fit_sparse(counts[chosen], classes=classes[chosen])

    def answer(taught: NDArray[np.bool_], asked: NDArray[np.bool_]) -> NDArray[np.float64]:
        weights, bias = teach(taught)
        logs = scipy.special.log_softmax(counts[asked] @ weights + bias, axis=1)
        return np.asarray(np.where(titled[asked, None], logs, -np.log(CLASSES)))

    said = _ask_out_of_fold(answer, folds=folds)
    # Pictures may take something for none of the groups; that nothing was marked so is no merit of titles.
    known = np.isin(np.arange(CLASSES), classes[titled])
    before = scipy.special.log_softmax(np.where(known, np.log(np.maximum(pictures, 1e-6)), np.log(1e-6)), axis=1)
    power = find_best_factor(
        lambda value: _mean_loss(scipy.special.log_softmax(before + value * said, axis=1), classes=classes),
        bounds=_POWERS,
    )
    both = scipy.special.log_softmax(before + power * said, axis=1)
    rows = np.arange(len(classes))
    gains = (both - before)[rows, classes][titled]
    gain = float(gains.mean()), float(STANDARD_DEVIATIONS * gains.std(ddof=1) / np.sqrt(len(gains)))
    if gain[0] <= gain[1]:
        return pictures, None, gain
    weights, bias = teach(titled)
    head = TitleHead((power * weights).astype(np.float32), (power * bias).astype(np.float32))
    return np.exp(both), head, gain


def _fit_sparse(
    counts: "scipy.sparse.csr_array", *, classes: NDArray[np.int64]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Weights float64[BUCKETS, 6] and bias of the n-grams that these titles have; those of others are 0."""
    known = np.unique(counts.indices)
    of_known, bias = fit_logistic(counts[:, known], classes=classes, count=CLASSES, strength=TITLE_STRENGTH)
    weights = np.zeros((counts.shape[1], CLASSES))
    weights[known] = of_known
    return weights, bias

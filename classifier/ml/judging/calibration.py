"""Everything that is chosen on the calibration part: temperature, thresholds, balanced operating point."""

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from typing import Any, Final, Self

import numpy as np
import scipy
from numpy.typing import NDArray

from classifier.ml.judging.evaluation import group_scores
from classifier.ml.judging.photographs import Distance, PhotographCalibration
from classifier.ml.judging.published import BEST_PUBLISHED
from classifier.ml.labels import GROUPS, garments_within_groups, group_labels, group_probabilities

#: A label is kept from the confidence at which this share of the kept calibration pictures is right.
TARGET_PRECISION: Final = 0.99
#: A garment is sure from the share of its group's probability at which this share of the sure ones is right.
GARMENT_TARGET_PRECISION: Final = 0.98
#: Neither a group nor a garment within it is trusted below an even chance.
_LOWEST_THRESHOLD: Final = 0.5
_HIGHEST_THRESHOLD: Final = 0.999
#: The share of the calibration pictures that the evidence threshold may send to a person.
_EVIDENCE_QUANTILE: Final = 0.002
_TEMPERATURE_BOUNDS: Final = (0.2, 5.0)

#: Published figures have two decimals: ours reaches one when it rounds to it.
_ROUNDING: Final = 0.005


@dataclass(frozen=True, slots=True)
class Judgement:
    """What follows from a network's numbers: float64[N, 10] garment probabilities, and two bool[N].

    ``abstained`` says that no label is to be trusted, ``garment_unsure`` that the group may stand, but the garment
    within it is not sure.
    """

    garment_probabilities: NDArray[np.float64]
    abstained: NDArray[np.bool_]
    garment_unsure: NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class Calibration:
    """How logits become probabilities, and when a label is kept.

    ``temperature`` divides the logits. ``thresholds`` maps each group to the confidence below which its label abstains:
    one number for all, but in artefacts of the first schema. ``garment_threshold`` is the share of its group's
    probability below which a garment is not sure. ``evidence_threshold`` is the least evidence (log-sum-exp of the
    logits) of a picture of clothes. ``balanced_weights`` maps each group to the factor on its probability at the
    balanced operating point. ``photographs`` is how pictures are judged that did not come in canonical form; None
    judges all alike.
    """

    temperature: float
    thresholds: Mapping[str, float]
    evidence_threshold: float
    balanced_weights: Mapping[str, float]
    target_precision: float = TARGET_PRECISION
    garment_threshold: float = 0.0
    photographs: PhotographCalibration | None = None

    def __post_init__(self) -> None:
        if not self.temperature > 0:
            raise ValueError(f"expected a positive temperature, received {self.temperature}")
        for name in ("thresholds", "balanced_weights"):
            if set(getattr(self, name)) != set(GROUPS):
                raise ValueError(f"expected {name} for {', '.join(GROUPS)}, received {getattr(self, name)}")

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> Self:
        """The calibration that a manifest keeps. Raises ``TypeError`` or ``ValueError`` for what is none."""
        fields = dict(value)
        if "threshold" in fields:
            fields["thresholds"] = dict.fromkeys(GROUPS, fields.pop("threshold"))
        if fields.get("photographs") is not None:
            photographs = dict(fields["photographs"])
            if photographs.get("distance") is not None:
                photographs["distance"] = Distance(**photographs["distance"])
            fields["photographs"] = PhotographCalibration(**photographs)
        return cls(**fields)

    def to_json(self) -> dict[str, Any]:
        """What a manifest keeps of a calibration with one threshold."""
        fields = asdict(self)
        (threshold,) = set(fields.pop("thresholds").values())
        return {**fields, "threshold": threshold}

    def probabilities(self, logits: NDArray[np.float32]) -> NDArray[np.float64]:
        """Calibrated probabilities of the garments of canonical pictures, float64[N, 10]."""
        return np.asarray(scipy.special.softmax(logits.astype(np.float64) / self.temperature, axis=1))

    def judge(
        self,
        logits: NDArray[np.float32],
        *,
        features: NDArray[np.float32],
        photograph: NDArray[np.bool_],
        blank: NDArray[np.bool_],
    ) -> Judgement:
        """What follows from logits float32[N, 10] and features float32[N, 64], 128 with those of colours.

        ``photograph`` bool[N] are the pictures that did not come in canonical form. A label is not to be trusted with
        too little confidence for its group, nor of a ``blank`` picture (bool[N]), nor, where the picture is judged as
        a canonical one, with too little evidence.
        """
        garments = self.probabilities(logits)
        strange = evidence(logits) < self.evidence_threshold
        if self.photographs is not None and photograph.any():
            garments[photograph] = self.photographs.probabilities(logits[photograph], features=features[photograph])
            strange &= ~photograph
        groups = group_probabilities(garments)
        predicted, confidence = groups.argmax(axis=1), groups.max(axis=1)
        within = garments[np.arange(len(garments)), garments_within_groups(garments, groups=predicted)]
        threshold = np.array([self.thresholds[name] for name in GROUPS])[predicted]
        return Judgement(
            garment_probabilities=garments,
            abstained=(confidence < threshold) | strange | blank,
            garment_unsure=within < self.garment_threshold * confidence,
        )

    def balanced_groups(self, probabilities: NDArray[np.floating]) -> NDArray[np.int64]:
        """The groups at the balanced operating point, int64[N], for garment probabilities float[N, 10]."""
        weights = np.array([self.balanced_weights[name] for name in GROUPS])
        return np.asarray((group_probabilities(probabilities) * weights).argmax(axis=1))


def evidence(logits: NDArray[np.float32]) -> NDArray[np.float64]:
    """How much speaks for any garment at all, float64[N]: the log-sum-exp of the logits."""
    return np.asarray(np.logaddexp.reduce(logits.astype(np.float64), axis=1))


def calibrate(
    logits: NDArray[np.float32], *, labels: NDArray[np.integer], target_precision: float = TARGET_PRECISION
) -> Calibration:
    """The calibration chosen on pictures that neither trained nor stopped the network; photographs are left to others.

    ``logits`` is float32[N, 10], ``labels`` int[N] with garment indices. Raises ``ValueError`` for no pictures.
    """
    if len(logits) == 0:
        raise ValueError("expected at least one calibration picture, received none")
    truth = group_labels(labels)
    temperature = _fit_temperature(logits, truth=truth)
    garments = scipy.special.softmax(logits.astype(np.float64) / temperature, axis=1)
    groups = group_probabilities(garments)
    predicted, confidence = groups.argmax(axis=1), groups.max(axis=1)
    within = garments_within_groups(garments, groups=predicted)
    threshold = choose_threshold(confidence, right=predicted == truth, target_precision=target_precision)
    # Of a label that is kept and right the garment may still be another one.
    judged = (predicted == truth) & (confidence >= threshold)
    shares = garments[np.arange(len(garments)), within] / confidence
    return Calibration(
        temperature=temperature,
        thresholds=dict.fromkeys(GROUPS, threshold),
        evidence_threshold=float(np.quantile(evidence(logits), _EVIDENCE_QUANTILE)),
        balanced_weights=_choose_balanced_weights(groups, truth=truth),
        target_precision=target_precision,
        garment_threshold=choose_threshold(
            shares[judged], right=(within == labels)[judged], target_precision=GARMENT_TARGET_PRECISION
        ),
    )


def _fit_temperature(logits: NDArray[np.float32], *, truth: NDArray[np.int64]) -> float:
    """The temperature with the least negative log-likelihood of the groups."""

    def loss(temperature: float) -> float:
        groups = group_probabilities(scipy.special.softmax(logits.astype(np.float64) / temperature, axis=1))
        return float(-np.log(groups[np.arange(len(truth)), truth] + 1e-12).mean())

    return find_best_factor(loss, bounds=_TEMPERATURE_BOUNDS)


def find_best_factor(loss: Callable[[float], float], *, bounds: tuple[float, float]) -> float:
    """The number between the bounds, on a logarithmic scale, with the least loss."""
    found = scipy.optimize.minimize_scalar(
        lambda logarithm: loss(float(np.exp(logarithm))), bounds=tuple(np.log(bounds)), method="bounded"
    )
    return float(np.exp(found.x))


def choose_threshold(confidence: NDArray[np.floating], *, right: NDArray[np.bool_], target_precision: float) -> float:
    """The least confidence from which on what is kept reaches the target precision."""
    order = np.argsort(-confidence)
    confidence, precision = confidence[order], np.cumsum(right[order]) / np.arange(1, len(order) + 1)
    # Pictures of equal confidence are kept together.
    last = np.append(confidence[1:] < confidence[:-1], np.ones(min(len(order), 1), dtype=np.bool_))
    reached = np.flatnonzero((precision >= target_precision) & last)
    threshold = float(confidence[reached[-1]]) if reached.size else _HIGHEST_THRESHOLD
    return float(np.clip(threshold, _LOWEST_THRESHOLD, _HIGHEST_THRESHOLD))


def _choose_balanced_weights(groups: NDArray[np.floating], *, truth: NDArray[np.int64]) -> dict[str, float]:
    """Factors on the groups' probabilities that bring the worst cell as safely above the published one as they can.

    A search along one factor after the other, from no change at all; with equal margins the smaller change wins.
    """
    weights = np.ones(len(GROUPS))
    candidates = np.exp(np.linspace(-2.5, 2.5, 51))
    best = _published_margin(groups, truth=truth)
    for _ in range(3):
        before = best
        for index in range(len(GROUPS)):
            for candidate in sorted(candidates, key=lambda value: abs(np.log(value))):
                trial = weights.copy()
                trial[index] = candidate
                margin = _published_margin(groups * trial, truth=truth)
                if margin > best + 1e-9:
                    weights, best = trial, margin
        if best == before:
            break
    return {name: float(weight) for name, weight in zip(GROUPS, weights, strict=True)}


def _published_margin(scores: NDArray[np.floating], *, truth: NDArray[np.int64]) -> float:
    """How safely the worst cell lies above what rounds to its published figure; negative where one is missed.

    Each distance counts in standard errors of a share of so many pictures: a hundredth means little for the few that
    are said to be One piece, and much for the thousands that are said not to be Bags.
    """
    predicted = scores.argmax(axis=1)
    ours = group_scores(predicted, truth=truth)
    margins = []
    for index, (name, published) in enumerate(BEST_PUBLISHED.items()):
        said = int((predicted == index).sum())
        counts = {
            "recall": int((truth == index).sum()),
            "precision": said,
            "negative_predictive_value": len(truth) - said,
        }
        for measure, count in counts.items():
            needed = getattr(published, measure) - _ROUNDING
            standard_error = np.sqrt(needed * (1 - needed) / max(count, 1))
            margins.append(((getattr(ours[name], measure) or 0.0) - needed) / standard_error)
    return float(min(margins))

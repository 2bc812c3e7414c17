"""What a network trained on canonical pictures is worth on photographs: other frequencies, less sure, some turned.

The constants are the product's, chosen on photographs of two sources, studio pictures of a shop and pictures taken at
home, that train nothing; docs/classifier.md has the trials. The numbers that know a turned picture are fitted for each
network on canonical pictures that are turned, and for a base that looks at colours on photographs without labels, as is
how far a photograph is from usual ones.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import Final

import numpy as np
import scipy
from numpy.typing import NDArray

from classifier.ml.labels import (
    BAGS,
    BOTTOM_PART,
    FOOTWEAR,
    GARMENTS,
    GROUP_INDEX_OF_GARMENT,
    GROUPS,
    ONE_PIECE,
    UPPER_PART,
    group_probabilities,
    within_groups,
)
from classifier.ml.types import COLOUR_FEATURES, EMBEDDING_SIZE

#: The temperature of photographs, times that of canonical pictures.
WARMER: Final = 1.13
#: Factors on the groups' probabilities. Fashion-MNIST has 4 garments of Upper part and 3 of Footwear out of 10, which
#: a shop has not. Even groups would be 1, 4, 4, 1.3 and 4; what shows a person, or several things, looks like Bags, so
#: that more than 1.2 costs the balance of both sources.
#: Fitted to both sources at once, and drawn towards even ones: with brands kept apart that is as good as the best fit.
GROUP_WEIGHTS: Final[Mapping[str, float]] = MappingProxyType(
    {UPPER_PART: 1.0, BOTTOM_PART: 4.8, ONE_PIECE: 5.8, FOOTWEAR: 2.0, BAGS: 1.2}
)
#: The odds of a photograph that stands upright and shows clothes against one that looks like a turned picture; more
#: answers more of both. Of turned studio pictures a tenth are then answered wrongly, and without it a third.
UPRIGHT_ODDS: Final = 20.0
#: The same where colours are looked at, which tell more surely: of turned pictures a thirtieth is answered wrongly.
UPRIGHT_ODDS_BY_COLOURS: Final = 1.0
#: What the distance of usual photographs is on average; its square is by how much the groups of one are less sure.
_USUAL_DISTANCE: Final = 1.1**0.5
#: Their features are measured along so many directions, and in all others alike.
_DIRECTIONS: Final = 16
#: How far the fitted numbers are kept from what single pictures say, and the scales on which they are compared.
_PENALTY: Final = 1e-4
_FEATURE_SCALE: Final = 8.0
_LOGIT_SCALE: Final = 0.25
_ITERATIONS: Final = 300
#: Nothing is quite impossible, nor quite as usual as can be, nor so far that rounding would choose the group.
_LEAST: Final = 1e-300
_LEAST_DISTANCE: Final = 0.1
_MOST_DISTANCE: Final = 10.0


@dataclass(frozen=True, slots=True)
class Distance:
    """How far a photograph's features are from those of usual ones: Mahalanobis' distance, squared.

    It is ``scale`` times the squared length of what separates F features from their ``mean``, without the squares of
    its products with each of ``directions``, K times F numbers: along these photographs differ anyway.
    """

    mean: Sequence[float]
    directions: Sequence[Sequence[float]]
    scale: float

    def __post_init__(self) -> None:
        if not self.scale > 0 or not self.mean or any(len(each) != len(self.mean) for each in self.directions):
            raise ValueError(
                "expected a mean, directions of as many numbers and a positive scale, received "
                f"{len(self.mean)}, {[len(each) for each in self.directions]} and {self.scale}"
            )

    def measure(self, features: NDArray[np.floating]) -> NDArray[np.float64]:
        """The distance of each picture, float64[N], for features float[N, F or fewer]: the others count as usual."""
        width = min(features.shape[1], len(self.mean))
        apart = features[:, :width] - np.asarray(self.mean[:width])
        # Sums, and no products of matrices, which round by how many pictures there are.
        found = self.scale * (apart**2).sum(axis=1)
        for direction in self.directions:
            found -= (apart * np.asarray(direction[:width])).sum(axis=1) ** 2
        return np.asarray(np.clip(found, _LEAST_DISTANCE, _MOST_DISTANCE))


def fit_distance(features: NDArray[np.floating]) -> Distance:
    """The distance to photographs with features float[N, F]. Raises ``ValueError`` unless they differ."""
    values = features.astype(np.float64)
    mean = values.mean(axis=0)
    variances, axes = np.linalg.eigh(np.cov(values, rowvar=False))
    usual = variances.mean()
    if not usual > 0:
        raise ValueError("expected photographs that differ")
    chosen = slice(-_DIRECTIONS, None)
    # A variance of its own along these, and everywhere as much more as it is on average.
    directions = (axes * np.sqrt(1 / usual - 1 / (np.maximum(variances, 0) + usual)))[:, chosen].T
    apart = values - mean
    average = float((apart**2).sum() / usual - ((apart @ directions.T) ** 2).sum()) / len(values)
    share = _USUAL_DISTANCE / average
    return Distance(
        mean=_shorten(mean),
        directions=[_shorten(direction * np.sqrt(share)) for direction in directions],
        scale=share / usual,
    )


def _shorten(values: NDArray[np.float64]) -> list[float]:
    """The numbers with so many digits as matter, for a manifest."""
    return [float(f"{value:.5g}") for value in values.tolist()]


@dataclass(frozen=True, slots=True)
class PhotographCalibration:
    """How the logits of photographs become probabilities.

    ``temperature`` divides the logits, ``group_weights`` are factors on the groups' probabilities. The ten numbers
    ``upright_logits`` and the 64 ``upright_embedding`` weigh what the network says, ``upright_colours`` (64 or none)
    what the second branch of a base does; their sum with ``upright_bias`` is the log-odds that a picture stands
    upright. The less it does, the nearer its groups come to an even chance. The square of the ``distance`` to usual
    pictures is a temperature of the groups as well. By neither a group changes places with another.
    """

    temperature: float
    group_weights: Mapping[str, float]
    upright_logits: Sequence[float]
    upright_embedding: Sequence[float]
    upright_bias: float
    upright_colours: Sequence[float] | None = None
    distance: Distance | None = None

    def __post_init__(self) -> None:
        if not self.temperature > 0:
            raise ValueError(f"expected a positive temperature of photographs, received {self.temperature}")
        if set(self.group_weights) != set(GROUPS):
            raise ValueError(f"expected group_weights for {', '.join(GROUPS)}, received {self.group_weights}")
        for name, size in (("upright_logits", len(GARMENTS)), ("upright_embedding", EMBEDDING_SIZE)):
            if len(getattr(self, name)) != size:
                raise ValueError(f"expected {size} numbers as {name}, received {len(getattr(self, name))}")
        if self.upright_colours is not None and len(self.upright_colours) != COLOUR_FEATURES:
            raise ValueError(
                f"expected {COLOUR_FEATURES} numbers as upright_colours or none, received {len(self.upright_colours)}"
            )

    def weighted(self, logits: NDArray[np.float32]) -> NDArray[np.float64]:
        """Probabilities of the garments, float64[N, 10], of pictures that are known to stand upright."""
        weights = np.array([self.group_weights[name] for name in GROUPS])[GROUP_INDEX_OF_GARMENT]
        probabilities = scipy.special.softmax(logits.astype(np.float64) / self.temperature, axis=1) * weights
        return np.asarray(probabilities / probabilities.sum(axis=1, keepdims=True))

    def groups(self, logits: NDArray[np.float32], *, features: NDArray[np.float32]) -> NDArray[np.float64]:
        """The probability of each group, float64[N, 5], of pictures that are known to stand upright."""
        groups = group_probabilities(self.weighted(logits))
        if self.distance is None:
            return np.asarray(groups, dtype=np.float64)
        powers = np.maximum(groups, _LEAST) ** (1 / self.distance.measure(features) ** 2)[:, None]
        return np.asarray(powers / powers.sum(axis=1, keepdims=True))

    def upright(self, logits: NDArray[np.float32], *, features: NDArray[np.float32]) -> NDArray[np.float64]:
        """The probability of each picture to stand upright, float64[N].

        ``features`` float32[N, 64] are those of the network, and with 64 more those of colours. Where colours were not
        looked at, they count as those of the mean picture, which are 0.
        """
        # Sums, and no products of matrices, which round by how many pictures there are.
        odds = (logits * np.asarray(self.upright_logits)).sum(axis=1)
        weights = np.array([*self.upright_embedding, *(self.upright_colours or ())])[: features.shape[1]]
        odds += (features[:, : len(weights)] * weights).sum(axis=1)
        return np.asarray(scipy.special.expit(odds + self.upright_bias))

    def trust(self, logits: NDArray[np.float32], *, features: NDArray[np.float32]) -> NDArray[np.float64]:
        """How much what is said of each picture counts beside an even chance, float64[N]; input as in ``upright``."""
        upright = self.upright(logits, features=features)
        # Colours are sure enough not to doubt what is likelier upright than turned.
        return upright if self.upright_colours is None else np.minimum(1.0, 2.0 * upright)

    def probabilities(self, logits: NDArray[np.float32], *, features: NDArray[np.float32]) -> NDArray[np.float64]:
        """Probabilities of the garments, float64[N, 10], for logits float32[N, 10] and features as in ``upright``."""
        garments = self.weighted(logits)
        even = doubt(self.groups(logits, features=features), trust=self.trust(logits, features=features))
        return within_groups(garments, groups=even)


def doubt(groups: NDArray[np.floating], *, trust: NDArray[np.float64]) -> NDArray[np.float64]:
    """Probabilities of groups float64[N, 5], the nearer to an even chance the less ``trust`` float64[N] there is."""
    return np.asarray(trust[:, None] * groups + (1 - trust[:, None]) / len(GROUPS))


def calibrate_photographs(
    logits: NDArray[np.float32],
    *,
    features: NDArray[np.float32],
    groups: NDArray[np.integer],
    temperature: float,
    threshold: float,
) -> PhotographCalibration:
    """The calibration of photographs for a network, from what it says of canonical pictures in four ways of standing.

    ``groups`` int[N] are the true ones; ``temperature`` and ``threshold`` are those of canonical pictures; the others
    are those of ``fit_upright``.
    """
    even = PhotographCalibration(
        temperature=WARMER * temperature,
        group_weights=dict(GROUP_WEIGHTS),
        upright_logits=[0.0] * len(GARMENTS),
        upright_embedding=[0.0] * EMBEDDING_SIZE,
        upright_bias=0.0,
    )
    return fit_upright(even, logits, features=features, groups=groups, threshold=threshold)


def fit_upright(
    calibration: PhotographCalibration,
    logits: NDArray[np.float32],
    *,
    features: NDArray[np.float32],
    threshold: float,
    groups: NDArray[np.integer] | None = None,
    odds: float = UPRIGHT_ODDS,
) -> PhotographCalibration:
    """The calibration with other numbers that say how likely a picture stands upright.

    ``logits`` is float32[4, N, 10], ``features`` float32[4, N, 64 or 128]; the first of the four are upright, the
    others turned by 90, 180 and 270 degrees. What counts is to tell answers that are right upright from such that are
    wrong turned, with at least the confidence ``threshold``. Without the true ``groups`` int[N] what is said of a
    picture upright is taken for right. ``odds`` are those of a picture to stand upright before it was looked at.
    """
    values = np.concatenate([logits * _LOGIT_SCALE, features * _FEATURE_SCALE], axis=2).astype(np.float64)
    turns, count, width = values.shape
    rows = np.concatenate([values, np.ones((turns, count, 1))], axis=2).reshape(-1, width + 1)
    probabilities = calibration.groups(
        logits.reshape(-1, len(GARMENTS)), features=features.reshape(-1, features.shape[-1])
    )
    said, confidence = (
        each.reshape(turns, count) for each in (probabilities.argmax(axis=1), probabilities.max(axis=1))
    )
    right = said == (said[0] if groups is None else groups)
    is_upright = np.repeat([1.0, *[0.0] * (turns - 1)], count)
    upright = _as_shares((confidence * right)[0])
    share = np.concatenate([upright, _as_shares((~right & (confidence >= threshold))[1:].ravel())]) / 2

    def loss(numbers: NDArray[np.float64]) -> tuple[float, NDArray[np.float64]]:
        log_odds = rows @ numbers
        misfit = np.logaddexp(0, log_odds) - is_upright * log_odds
        slope = rows.T @ (share * (scipy.special.expit(log_odds) - is_upright))
        return float(share @ misfit + _PENALTY * numbers @ numbers / 2), slope + _PENALTY * numbers

    fitted = scipy.optimize.minimize(
        loss, np.zeros(width + 1), jac=True, method="L-BFGS-B", options={"maxiter": _ITERATIONS}
    ).x
    of_features = (fitted[len(GARMENTS) : -1] * _FEATURE_SCALE).tolist()
    return replace(
        calibration,
        upright_logits=(fitted[: len(GARMENTS)] * _LOGIT_SCALE).tolist(),
        upright_embedding=of_features[:EMBEDDING_SIZE],
        upright_colours=of_features[EMBEDDING_SIZE:] or None,
        upright_bias=float(fitted[-1] + np.log(odds)),
    )


def _as_shares(weights: NDArray[np.number]) -> NDArray[np.float64]:
    """Weights with the sum 1, float64 of the same shape; even ones where all are 0."""
    total = weights.sum()
    return weights / total if total else np.full(len(weights), 1 / len(weights))

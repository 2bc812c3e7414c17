"""A head for the groups of photographs, learnt from features and from what somebody, or a title, calls the pictures.

Nothing of the base is trained, so that it takes seconds and less than a network would forget.
"""

from dataclasses import dataclass
from typing import Final

import numpy as np
import scipy
from numpy.typing import NDArray
from threadpoolctl import threadpool_limits

from classifier.ml.heads import GroupHead
from classifier.ml.judging.calibration import find_best_factor
from classifier.ml.labels import GROUPS

#: How much what the pictures say counts against small weights; on studio pictures anything from 3 to 30 is as good.
STRENGTH: Final = 10.0
_ITERATIONS: Final = 300
_TEMPERATURES: Final = (0.2, 10.0)


@dataclass(frozen=True, slots=True)
class TaughtHead:
    """A head, and how right one was that was taught by the others on the ``pictures`` that were held out.

    ``accuracy`` counts pictures, ``balanced_accuracy`` the groups that are there; ``temperature`` is part of the head.
    """

    head: GroupHead
    pictures: int
    accuracy: float
    balanced_accuracy: float
    temperature: float


def teach(features: NDArray[np.floating], *, groups: NDArray[np.integer], held_out: NDArray[np.bool_]) -> TaughtHead:
    """The head that features float[N, F] of unit length and their groups int[N] teach.

    Those ``held_out``, bool[N], choose the temperature and judge; the head that is returned was taught by all. Raises
    ``ValueError`` where a group is missing on either side.
    """
    for name, part in (("taught", ~held_out), ("held out", held_out)):
        if missing := set(range(len(GROUPS))) - set(groups[part].tolist()):
            raise ValueError(f"expected pictures of every group among those {name}, none of {GROUPS[min(missing)]}")
    weights, bias = fit_logistic(features[~held_out], classes=groups[~held_out], count=len(GROUPS))
    logits, truth = features[held_out] @ weights + bias, groups[held_out]
    right = logits.argmax(axis=1) == truth

    def loss(temperature: float) -> float:
        logs = scipy.special.log_softmax(logits / temperature, axis=1)
        return float(-logs[np.arange(len(truth)), truth].mean())

    temperature = find_best_factor(loss, bounds=_TEMPERATURES)
    weights, bias = fit_logistic(features, classes=groups, count=len(GROUPS))
    return TaughtHead(
        head=GroupHead((weights / temperature).astype(np.float32), (bias / temperature).astype(np.float32), doubts=1.0),
        pictures=len(truth),
        accuracy=float(right.mean()),
        balanced_accuracy=float(np.mean([right[truth == group].mean() for group in range(len(GROUPS))])),
        temperature=temperature,
    )


def fit_logistic(
    values: "NDArray[np.floating] | scipy.sparse.csr_array",
    *,
    classes: NDArray[np.integer],
    count: int,
    offset: NDArray[np.floating] | float = 0.0,
    strength: float = STRENGTH,
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Multinomial logistic regression in which every class that is there counts alike.

    For values float[N, F], dense or sparse, and classes int[N] of ``count`` it finds weights float64[F, count] and a
    bias float64[count], both drawn towards 0. ``offset`` float[N, count] is added to the logits: what is known without
    the values, so that a class which nobody showed keeps that.
    """
    values = values if isinstance(values, scipy.sparse.csr_array) else values.astype(np.float64)
    rows, width = values.shape
    truth = np.eye(count)[classes]
    numbers = np.bincount(classes, minlength=count)
    shares = strength * (rows / ((numbers > 0).sum() * np.maximum(numbers, 1)))[classes][:, None]

    def loss(fitted: NDArray[np.float64]) -> tuple[float, NDArray[np.float64]]:
        weights, bias = fitted[:-count].reshape(width, count), fitted[-count:]
        logits = values @ weights + bias + offset
        logits -= logits.max(axis=1, keepdims=True)
        logs = logits - np.log(np.exp(logits).sum(axis=1, keepdims=True))
        slope = shares * (np.exp(logs) - truth)
        steps = np.concatenate([(values.T @ slope).ravel(), slope.sum(axis=0)])
        return float(-(shares * truth * logs).sum() + fitted @ fitted / 2), steps + fitted

    start = np.zeros((width + 1) * count)
    # With matrices as small as those of a catalogue's reviews several threads wait for each other.
    with threadpool_limits(limits=1, user_api="blas"):
        found = scipy.optimize.minimize(loss, start, jac=True, method="L-BFGS-B", options={"maxiter": _ITERATIONS}).x
    return found[:-count].reshape(width, count), found[-count:]

"""Why a label: which parts of a picture it hangs on, found by covering one part after the other."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from classifier.ml.labels import GROUPS

#: A cover is a square of this share of the form's side: ten of 28 pixels, an eighth of the area. Smaller ones leave
#: most labels as they are: with seven pixels half of the demo's pictures lose less than 0.02 wherever they are covered.
_COVER_SHARE: Final = 10 / 28
#: Covers along each side; 49 and the whole picture take the shipped network about 15 ms.
_COVERS_PER_SIDE: Final = 7
#: A change below this is not worth a sentence, nor a strong colour.
NOTABLE_CHANGE: Final = 0.05
_PARTS_AT_MOST: Final = 3
_PLACES: Final = (
    ("upper left", "top", "upper right"),
    ("left side", "middle", "right side"),
    ("lower left", "bottom", "lower right"),
)

#: Groups' probabilities float[N, 5] of forms uint8[N, size, size].
GroupProbabilities = Callable[[NDArray[np.uint8]], NDArray[np.floating]]


@dataclass(frozen=True, slots=True)
class CoveredPart:
    """What covering one part does: ``place`` in words, the group's probability then, and which group is likeliest."""

    place: str
    decrease: float
    probability: float
    likeliest: str


@dataclass(frozen=True, slots=True)
class OcclusionMap:
    """How much a group's probability falls where a picture is covered.

    ``decreases`` is float64[size, size], for each pixel of the form the mean over the covers that lie on it, negative
    where covering raises the probability. ``largest`` is the largest change of any cover, up or down, 0..1. ``parts``
    are the covers with notable changes that do not overlap, the largest first.
    """

    group: str
    probability: float
    decreases: NDArray[np.float64]
    largest: float
    parts: tuple[CoveredPart, ...]


def build_occlusion_map(
    canonical: NDArray[np.uint8], *, group: str, group_probabilities: GroupProbabilities
) -> OcclusionMap:
    """The map of one canonical form, uint8[size, size], for one group; the network is asked once, for all covers.

    Covered is what becomes as black as the background. Raises ``ValueError`` for a form that is not square.
    """
    if canonical.ndim != 2 or canonical.shape[0] != canonical.shape[1]:
        raise ValueError(f"expected a square form, received one of shape {canonical.shape}")
    size = canonical.shape[0]
    cover = max(1, round(size * _COVER_SHARE))
    starts = np.rint(np.linspace(0, size - cover, _COVERS_PER_SIDE)).astype(int)
    corners = [(int(top), int(left)) for top in starts for left in starts]
    forms = np.repeat(canonical[None], 1 + len(corners), axis=0)
    for form, (top, left) in zip(forms[1:], corners, strict=True):
        form[top : top + cover, left : left + cover] = 0
    probabilities = np.asarray(group_probabilities(forms), dtype=np.float64)
    index = GROUPS.index(group)
    whole, covered = float(probabilities[0, index]), probabilities[1:]
    decreases = whole - covered[:, index]
    return OcclusionMap(
        group=group,
        probability=whole,
        decreases=_mean_of_covers(decreases, corners=corners, cover=cover, size=size),
        largest=float(np.abs(decreases).max()),
        parts=tuple(
            CoveredPart(
                place=_PLACES[_third(corners[number][0] + cover / 2, size)][
                    _third(corners[number][1] + cover / 2, size)
                ],
                decrease=float(decreases[number]),
                probability=float(covered[number, index]),
                likeliest=GROUPS[int(covered[number].argmax())],
            )
            for number in _choose_parts(decreases, corners=corners, cover=cover)
        ),
    )


def _mean_of_covers(
    decreases: NDArray[np.float64], *, corners: list[tuple[int, int]], cover: int, size: int
) -> NDArray[np.float64]:
    total, count = np.zeros((size, size)), np.zeros((size, size))
    for decrease, (top, left) in zip(decreases, corners, strict=True):
        total[top : top + cover, left : left + cover] += decrease
        count[top : top + cover, left : left + cover] += 1
    return total / count


def _choose_parts(decreases: NDArray[np.float64], *, corners: list[tuple[int, int]], cover: int) -> list[int]:
    """The numbers of the covers worth a sentence: notable, apart from each other, the largest change first."""
    chosen: list[int] = []
    for number in np.argsort(-np.abs(decreases), kind="stable").tolist():
        top, left = corners[number]
        apart = all(abs(top - corners[other][0]) >= cover or abs(left - corners[other][1]) >= cover for other in chosen)
        if abs(decreases[number]) >= NOTABLE_CHANGE and apart and len(chosen) < _PARTS_AT_MOST:
            chosen.append(number)
    return chosen


def _third(position: float, size: int) -> int:
    return min(2, int(3 * position / size))

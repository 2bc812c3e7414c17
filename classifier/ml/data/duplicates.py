"""Pictures that occur twice: exactly, or so nearly that they show the same thing.

Two pictures are compared after both are scaled to the same length (root of the sum of squared pixels), so that the
same garment under more light is still the same. Their distance is the length of the difference: 0 for equal pictures,
1.41 for pictures that share no bright pixel; at 0.08, 0.6 % of the energy differs. A copy that was moved or mirrored
is another picture by this measure.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

import numpy as np
import scipy
from numpy.typing import NDArray

#: Below this distance 102 pairs of the 70,000 pictures are spread evenly, about 12 to each 0.01; every one of them has
#: the same garment twice and shows one cut, at most in another print or colour. Above it the number of pairs doubles
#: with every further 0.01: these are garments of one shape, such as plain trousers.
NEAR_DUPLICATE_DISTANCE: Final = 0.08
#: How far pairs are looked for: 1,111 pairs, of which the first ones disagree on the garment.
LOOK_ALIKE_DISTANCE: Final = 0.12

#: The search compares this many principal directions first. They hold 95 % of the energy; 64 leave ten times more
#: pairs to be looked at in full, 256 cost twice the time.
_DIRECTIONS: Final = 128
_BLOCK: Final = 2048
#: Two lengths in single precision differ by rounding alone by less than this (squared distance).
_ROUNDING: Final = 2e-5


@dataclass(frozen=True, slots=True)
class PicturePairs:
    """Pairs of pictures that are alike, closest first.

    ``indices`` is int64[M, 2] with the smaller index first, ``distances`` float32[M].
    """

    indices: NDArray[np.int64]
    distances: NDArray[np.float32]

    def within(self, distance: float) -> "PicturePairs":
        """The pairs of at most that distance."""
        count = int(np.searchsorted(self.distances, distance, side="right"))
        return PicturePairs(indices=self.indices[:count], distances=self.distances[:count])


def find_exact_duplicates(images: NDArray[np.uint8]) -> PicturePairs:
    """The pairs of pictures uint8[N, H, W] with equal pixels: each repeat paired with the first of its kind."""
    rows = np.ascontiguousarray(images.reshape(len(images), -1))
    keys = rows.view(np.dtype((np.void, rows.shape[1]))).ravel()
    _, first, kind = np.unique(keys, return_index=True, return_inverse=True)
    # np.unique sorts stably, so the first of a kind is the one with the smallest index.
    originals = first[kind.ravel()].astype(np.int64)
    repeats = np.flatnonzero(originals != np.arange(len(images)))
    indices = np.stack([originals[repeats], repeats], axis=1)
    return PicturePairs(indices=indices, distances=np.zeros(len(indices), dtype=np.float32))


def find_copies(images: NDArray[np.uint8], *, of: NDArray[np.uint8]) -> NDArray[np.bool_]:
    """Which of the pictures uint8[N, ...] have the pixels of any picture of another set uint8[M, ...], bool[N]."""
    known = set(map(bytes, of))
    return np.fromiter((bytes(image) in known for image in images), dtype=bool, count=len(images))


def find_near_duplicates(
    images: NDArray[np.uint8],
    *,
    distance: float = LOOK_ALIKE_DISTANCE,
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> PicturePairs:
    """Every pair of pictures uint8[N, H, W] whose distance is at most ``distance``, exact duplicates included.

    No pair is missed: blocks of pictures are first compared along their principal directions, where a distance can
    only be smaller than it is, and what is left is measured in full. ``progress`` is told of the blocks done and of
    all of them. Raises ``ValueError`` for a distance that is not between 0 and 1.
    """
    if not 0 <= distance < 1:
        raise ValueError(f"expected a distance from 0 to below 1, received {distance}")
    pixels = _unit_length(images)
    left, right = _factors(pixels)
    starts = range(0, len(pixels), _BLOCK)
    limit = -(distance**2 + _ROUNDING) / 2
    found: list[NDArray[np.int64]] = [np.empty((0, 2), dtype=np.int64)]
    for number, start in enumerate(starts):
        for other in range(start, len(pixels), _BLOCK):
            close = left[start : start + _BLOCK] @ right[other : other + _BLOCK].T >= limit
            rows, columns = np.divmod(np.flatnonzero(close), close.shape[1])
            pairs = np.stack([rows + start, columns + other], axis=1).astype(np.int64)
            pairs = pairs[pairs[:, 0] < pairs[:, 1]]
            found.append(pairs[_distances(pairs, pixels=pixels) <= distance])
        progress(number + 1, len(starts))
    indices = np.concatenate(found)
    distances = _distances(indices, pixels=pixels)
    order = np.lexsort((indices[:, 1], indices[:, 0], distances))
    return PicturePairs(indices=indices[order], distances=distances[order])


def _unit_length(images: NDArray[np.uint8]) -> NDArray[np.float32]:
    """The pictures as rows of length 1, float32[N, pixels]; a black picture stays zero."""
    pixels = images.reshape(len(images), -1).astype(np.float32)
    pixels /= np.maximum(np.linalg.norm(pixels, axis=1, keepdims=True), 1.0)
    return pixels


def _factors(pixels: NDArray[np.float32]) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Two matrices whose rows' products are minus half the squared distance along the principal directions."""
    gram = (pixels.T @ pixels).astype(np.float64)
    last = len(gram) - 1
    _, directions = scipy.linalg.eigh(gram, subset_by_index=[max(0, last + 1 - _DIRECTIONS), last])
    projected = pixels @ directions.astype(np.float32)
    half = (projected**2).sum(axis=1, keepdims=True) / 2
    ones = np.ones_like(half)
    return np.hstack([projected, -half, ones]), np.hstack([projected, ones, -half])


def _distances(pairs: NDArray[np.int64], *, pixels: NDArray[np.float32]) -> NDArray[np.float32]:
    distances = np.empty(len(pairs), dtype=np.float32)
    for start in range(0, len(pairs), _BLOCK):
        part = pairs[start : start + _BLOCK]
        distances[start : start + _BLOCK] = np.linalg.norm(pixels[part[:, 0]] - pixels[part[:, 1]], axis=1)
    return distances

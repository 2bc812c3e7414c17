"""The same photograph, found again: resized, compressed, mirrored, or with a little cut off at each side.

A fingerprint is the picture in 32 x 32 pixels of colour. Two are laid upon each other, as they are and mirrored, by
moving and stretching one until they differ least (Lucas and Kanade, 1981), and compared where both have pixels. What
differs then, beyond what a small JPEG adds by itself, is told as a share of how strong the picture's edges are: what
resizing, compressing and laying slightly wrong leave grows with the edges, and a pen on white has hardly any.

Fingerprints that may be alike are found by their tones: a few slow waves of brightness and colour over the picture,
which say the same of its mirror image and change by no more than `TONE_TOLERANCES`. Difference hashes of 64 bits do
not do: 5 % cut off changes up to 25 bits of a studio picture, and half of all pairs of different ones differ in 20.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import product
from typing import Final

import numpy as np
from numpy.typing import NDArray
from PIL import Image

#: Pixels on each side.
SIZE: Final = 32
FINGERPRINT_BYTES: Final = SIZE * SIZE * 3
#: Two fingerprints that differ by no more, as a share of their edges, are of one photograph.
MAXIMUM_DIFFERENCE: Final = 0.14
#: A picture that varies less, as the sum of the variances of red, green and blue, says too little.
MINIMUM_VARIANCE: Final = 10.0
#: By how much each tone of one photograph may change; of 24,954 altered pairs none changed more.
TONE_TOLERANCES: Final = (14, 8, 26, 15, 14, 17)
# The steps in which tones are compared: the first three make bands, and stored rows have them so.
_STEPS_OF_TONES = np.array([10, 7, 18, 1, 1, 1])

# Brightness, blue-yellow and red-green, by Rec. 601, and the waves of each: (channel, down, across). Across only whole
# waves, which look the same in a mirror. Chroma counts four times, since it changes less.
_CHANNELS = np.array([[0.299, 0.587, 0.114], [-0.675, -1.325, 2.0], [2.0, -1.675, -0.325]])
_WAVES = ((0, 0, 2), (0, 2, 2), (0, 0, 0), (2, 0, 2), (1, 0, 2), (0, 2, 0))
_LENGTHS = np.cos(np.pi * np.outer(np.arange(3), (np.arange(SIZE) + 0.5) / SIZE)) / SIZE
# What each red, green and blue of a fingerprint adds to each tone.
_TONES = np.column_stack(
    [
        np.einsum("y,x,c->yxc", _LENGTHS[down], _LENGTHS[across], _CHANNELS[channel]).ravel()
        for channel, down, across in _WAVES
    ]
)
_PLACES = np.linspace(-1, 1, SIZE, dtype=np.float32)
#: The furthest that a side may move, of half the picture's length.
_FURTHEST = 0.16
_STEPS = 5
# What moving and stretching leave of the difference when they are only estimated: enough to look closer.
_ROUGHLY = 1.0
# What they leave after a first step: of 1,358 altered pairs none more than 0.39.
_CLOSER = 0.7
_PAIRS_AT_ONCE = 64
_BLURS, _BLURS_OF_EDGES = 3, 1
# What a small JPEG of 40 adds by itself, as a mean square, and the weakest edges that a difference is a share of.
_NOISE, _LEAST_EDGES = 20.0, 100.0
# Brightness and chroma as they are compared: a grey that differs by 1 counts as red, green and blue together do, and
# chroma, which tells things of one shape apart, twice.
_COMPARED = (
    np.array([[0.299, 0.587, 0.114], [-0.169, -0.331, 0.5], [0.5, -0.419, -0.081]]) * np.sqrt([[3], [6], [6]])
).astype(np.float32)
# Beyond its sides a picture goes on as it is there.
_BLUR = np.apply_along_axis(np.convolve, 1, np.pad(np.eye(SIZE), 1, "edge"), [0.25, 0.5, 0.25], "valid")[1:-1].astype(
    np.float32
)
_SLOPE = np.asarray(np.gradient(np.eye(SIZE, dtype=np.float32), axis=0))


def build_fingerprint(pixels: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Return the fingerprint uint8[32, 32, 3] of a picture uint8[H, W, 3]."""
    return np.asarray(Image.fromarray(pixels).resize((SIZE, SIZE), Image.Resampling.BOX))


def is_plain(fingerprint: NDArray[np.uint8]) -> bool:
    """Whether the picture shows too little to be told from others."""
    return bool(fingerprint.reshape(-1, 3).var(axis=0).sum() < MINIMUM_VARIANCE)


def measure_tones(fingerprint: NDArray[np.uint8]) -> tuple[int, ...]:
    """Return the tones of a fingerprint, whole numbers between -510 and 510."""
    return tuple(_measure_all_tones(fingerprint[np.newaxis])[0].tolist())


def _measure_all_tones(fingerprints: NDArray[np.uint8]) -> NDArray[np.int64]:
    return np.asarray(np.rint(fingerprints.reshape(-1, FINGERPRINT_BYTES) @ _TONES), dtype=np.int64)


def build_band(tones: Sequence[int]) -> int:
    """Return the first three tones in one number, coarsely."""
    return _join([tone // step for tone, step in zip(tones, _STEPS_OF_TONES[:3], strict=False)])


def list_bands(tones: Sequence[int]) -> list[int]:
    """Return the bands of every picture whose tones are within the tolerances of these."""
    low, high = _reach(np.array(tones))
    reached = [range(first, last + 1) for first, last in zip(low[:3].tolist(), high[:3].tolist(), strict=True)]
    return [_join(steps) for steps in product(*reached)]


def _join(steps: Sequence[int]) -> int:
    return ((steps[0] + 128) * 256 + steps[1] + 128) * 256 + steps[2] + 128


def _reach(tones: NDArray[np.int64]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return the least and the greatest tones, in their steps, of what is within the tolerances of these."""
    return (tones - TONE_TOLERANCES) // _STEPS_OF_TONES, (tones + TONE_TOLERANCES) // _STEPS_OF_TONES


def measure_differences(fingerprint: NDArray[np.uint8], others: NDArray[np.uint8]) -> NDArray[np.float64]:
    """Return how much each of the others uint8[N, 32, 32, 3] differs from the fingerprint, float64[N].

    The same whichever of two is the one and which the other. Of those that differ much only roughly.
    """
    template, prepared = _Template(fingerprint), _prepare(others)
    rough, edges = template.estimate(prepared)
    differences = rough.min(axis=0)
    sides, near = np.nonzero(rough <= _ROUGHLY)
    differences[near] = np.inf
    closely = _measure_closely(template.pictures[sides], template.slopes[sides], prepared.pictures[near], edges[near])
    np.minimum.at(differences, near, closely)
    return np.asarray(differences)


class NearFinder:
    """Finds which of others show the photograph of each of M fingerprints uint8[M, 32, 32, 3].

    ``count`` is M. ``bands`` has those of everything near to any of them, ``lowest`` and ``highest`` are the bounds of
    its last three tones.
    """

    def __init__(self, fingerprints: NDArray[np.uint8]) -> None:
        tones, self.count = _measure_all_tones(fingerprints), len(fingerprints)
        self.bands = sorted({band for one in tones.tolist() for band in list_bands(one)})
        self._low, self._high = _reach(tones)
        self.lowest, self.highest = self._low[:, 3:].min(axis=0).tolist(), self._high[:, 3:].max(axis=0).tolist()
        self._fingerprints = fingerprints
        self._templates = [_Template(fingerprint) for fingerprint in fingerprints]

    def find_before(self) -> list[dict[int, float]]:
        """Return, for each fingerprint, the places of those before it that are near, with the difference."""
        return self._find(self._fingerprints, ends=range(self.count))

    def find(self, others: NDArray[np.uint8]) -> list[dict[int, float]]:
        """Return, for each fingerprint, the places in others uint8[N, 32, 32, 3] that are near, with the difference."""
        return self._find(others, ends=[len(others)] * self.count)

    def _find(self, others: NDArray[np.uint8], *, ends: Sequence[int]) -> list[dict[int, float]]:
        """Return the same, for each fingerprint among the others before its end."""
        steps, prepared = _measure_all_tones(others) // _STEPS_OF_TONES, _prepare(others)
        pairs: list[tuple[_Template, int, int, int, float]] = []
        for number, (template, end) in enumerate(zip(self._templates, ends, strict=True)):
            alike = np.flatnonzero(
                ((steps[:end] >= self._low[number]) & (steps[:end] <= self._high[number])).all(axis=1)
            )
            rough, edges = template.estimate(prepared.take(alike))
            sides, near = np.nonzero(rough <= _ROUGHLY)
            pairs += [
                (template, number, *pair)
                for pair in zip(sides.tolist(), alike[near].tolist(), edges[near].tolist(), strict=True)
            ]
        found: list[dict[int, float]] = [{} for _ in self._templates]
        # Many at once: of a few it takes as long.
        for start in range(0, len(pairs), _PAIRS_AT_ONCE):
            part = pairs[start : start + _PAIRS_AT_ONCE]
            differences = _measure_closely(
                np.stack([template.pictures[side] for template, _, side, _, _ in part]),
                np.stack([template.slopes[side] for template, _, side, _, _ in part]),
                prepared.pictures[[place for *_, place, _ in part]],
                np.array([edge for *_, edge in part]),
            )
            for (_, number, _, place, _), difference in zip(part, differences.tolist(), strict=True):
                if difference <= min(MAXIMUM_DIFFERENCE, found[number].get(place, 1.0)):
                    found[number][place] = difference
        return found


@dataclass(frozen=True, slots=True)
class _Prepared:
    """N fingerprints as they are compared, float32[N, 3, 32, 32].

    ``edges`` float64[N] are mean squares of what changes from pixel to pixel, ``squares`` float32[N] sums of squares.
    """

    pictures: NDArray[np.float32]
    edges: NDArray[np.float64]
    squares: NDArray[np.float32]

    def take(self, places: NDArray[np.int64]) -> "_Prepared":
        return _Prepared(self.pictures[places], self.edges[places], self.squares[places])


def _prepare(fingerprints: NDArray[np.uint8]) -> _Prepared:
    pixels = np.ascontiguousarray(fingerprints.transpose(0, 3, 1, 2), dtype=np.float32)
    mixed = np.matmul(_COMPARED, pixels.reshape(-1, 3, SIZE**2)).reshape(-1, 3, SIZE, SIZE)
    sharp = _apply(_BLUR, mixed, times=_BLURS_OF_EDGES)
    edges = sum(
        np.einsum("ncyx,ncyx->n", slope, slope, dtype=np.float64)
        for slope in (np.matmul(_SLOPE, sharp), np.matmul(sharp, _SLOPE.T))
    )
    pictures = _apply(_BLUR, sharp, times=_BLURS - _BLURS_OF_EDGES)
    squares = np.einsum("ncyx,ncyx->n", pictures, pictures)
    return _Prepared(pictures, np.maximum(edges / SIZE**2, _LEAST_EDGES), squares)


def _apply(matrix: NDArray[np.float32], pictures: NDArray[np.float32], *, times: int) -> NDArray[np.float32]:
    """Apply the matrix [32, 32] so many times to pictures float32[N, 3, 32, 32], down and across."""
    power = np.linalg.matrix_power(matrix, times)
    return np.asarray(np.matmul(np.matmul(power, pictures), power.T))


class _Template:
    """A fingerprint upon which others are laid, as it is and mirrored."""

    def __init__(self, fingerprint: NDArray[np.uint8]) -> None:
        prepared = _prepare(fingerprint[np.newaxis])
        self.edges = prepared.edges[0]
        self.pictures = np.concatenate([prepared.pictures, prepared.pictures[..., ::-1]])
        self.slopes = _measure_slopes(self.pictures)
        self.bases = [np.linalg.qr(slopes.T)[0] for slopes in self.slopes]
        self.square = prepared.squares[0]
        flat = self.pictures.reshape(2, -1)
        self.asked = np.column_stack([flat[0], self.bases[0], flat[1], self.bases[1]])
        self.own = [one @ basis for one, basis in zip(flat, self.bases, strict=True)]

    def estimate(self, others: _Prepared) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Return what no small move or stretch explains, as it is and mirrored, float64[2, N], and edges float64[N].

        Tangent distance (Simard, 1993), as a share of the stronger edges of two.
        """
        edges = np.maximum(others.edges, self.edges)
        said = (others.pictures.reshape(-1, FINGERPRINT_BYTES) @ self.asked).reshape(-1, 2, 5)
        squared = others.squares[:, np.newaxis] - 2 * said[..., 0] + self.square
        explained = ((said[..., 1:] - self.own) ** 2).sum(axis=-1)
        return np.maximum(squared - explained, 0).T / (SIZE**2 * edges), edges


def _measure_closely(
    templates: NDArray[np.float32],
    slopes: NDArray[np.float32],
    pictures: NDArray[np.float32],
    edges: NDArray[np.float64],
) -> NDArray[np.float64]:
    """Return how much each picture differs from its template, float64[N], however they are laid upon each other."""
    if not len(pictures):
        return np.empty(0)
    differences = _align(templates, slopes, pictures, steps=1) / edges
    closer = np.flatnonzero(differences <= _CLOSER)
    if closer.size:
        ones, laid = templates[closer], pictures[closer]
        # Both ways: one of the two may lead where nothing is to be laid upon.
        ways = _align(ones, slopes[closer], laid), _align(laid, _measure_slopes(laid), ones)
        differences[closer] = np.maximum(np.minimum(*ways) - _NOISE, 0) / edges[closer]
    return np.asarray(differences)


def _measure_slopes(templates: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return how each pixel changes with stretching and moving across, and down: float32[N, 4, 3072]."""
    across, down = (
        slope * ((SIZE - 1) / 2) for slope in (np.matmul(templates, _SLOPE.T), np.matmul(_SLOPE, templates))
    )
    slopes = [across * _PLACES, across, down * _PLACES[:, np.newaxis], down]
    return np.stack(slopes, axis=1).reshape(len(templates), 4, -1)


def _align(
    templates: NDArray[np.float32], slopes: NDArray[np.float32], pictures: NDArray[np.float32], *, steps: int = _STEPS
) -> NDArray[np.float64]:
    """Return the least mean squared difference of each picture, stretched and moved, from its template, float64[N]."""
    count = len(pictures)
    moves, least = np.zeros((count, 4), dtype=np.float32), np.full(count, np.inf)
    ridge = np.eye(4, dtype=np.float32) * SIZE**2
    for step in range(steps + 1):
        laid, shared = _lay(pictures, moves)
        rest = (laid - templates) * shared[:, np.newaxis]
        squared = np.einsum("ncyx,ncyx->n", rest, rest)
        least = np.minimum(least, squared / shared.sum(axis=(1, 2)))
        if step < steps:
            masked = (slopes.reshape(count, 4, 3, -1) * shared.reshape(count, 1, 1, -1)).reshape(slopes.shape)
            curvature = np.matmul(masked, slopes.transpose(0, 2, 1)) + ridge
            towards = np.matmul(masked, rest.reshape(count, -1, 1))
            moves -= np.linalg.solve(curvature, towards)[..., 0]
            np.clip(moves, -_FURTHEST, _FURTHEST, out=moves)
    return least


def _lay(pictures: NDArray[np.float32], moves: NDArray[np.float32]) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Return each picture stretched and moved, and where it has pixels then, 0 or 1, float32[N, 32, 32]."""
    weights, inside = [], []
    for stretch, shift in (moves[:, :2].T, moves[:, 2:].T):
        places = (1 + stretch[:, np.newaxis]) * _PLACES + shift[:, np.newaxis]
        inside.append(np.abs(places) <= 1 + 1 / SIZE)
        pixels = np.clip((places + 1) / 2 * (SIZE - 1), 0, SIZE - 1)
        weights.append(np.maximum(0, 1 - np.abs(pixels[..., np.newaxis] - np.arange(SIZE, dtype=np.float32))))
    across, down = weights
    laid = np.matmul(np.matmul(down[:, np.newaxis], pictures), across.transpose(0, 2, 1)[:, np.newaxis])
    return laid, (inside[1][:, :, np.newaxis] & inside[0][:, np.newaxis]).astype(np.float32)

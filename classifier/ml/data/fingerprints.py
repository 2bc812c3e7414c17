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
#: The steps in which bands have the first three tones; stored rows have them too.
_BAND_STEPS: Final = (10, 7, 18)

# Brightness, blue-yellow and red-green, by Rec. 601, and the waves of each: (channel, down, across). Across only whole
# waves, which look the same in a mirror. Chroma counts four times, since it changes less.
_CHANNELS = np.array([[0.299, 0.587, 0.114], [-0.675, -1.325, 2.0], [2.0, -1.675, -0.325]])
_WAVES = ((0, 0, 2), (0, 2, 2), (0, 0, 0), (2, 0, 2), (1, 0, 2), (0, 2, 0))
_PLACES = np.linspace(-1, 1, SIZE, dtype=np.float32)
#: The furthest that a side may move, of half the picture's length.
_FURTHEST = 0.16
_STEPS = 5
# What moving and stretching leave of the difference when they are only estimated: enough to look closer.
_ROUGHLY = 1.0
_BLURS, _BLURS_OF_EDGES = 3, 1
# What a small JPEG of 40 adds by itself, as a mean square, and the weakest edges that a difference is a share of.
_NOISE, _LEAST_EDGES = 20.0, 100.0
# Brightness and chroma as they are compared: a grey that differs by 1 counts as red, green and blue together do, and
# chroma, which tells things of one shape apart, twice.
_COMPARED = (
    np.array([[0.299, 0.587, 0.114], [-0.169, -0.331, 0.5], [0.5, -0.419, -0.081]]).T * np.sqrt([3, 6, 6])
).astype(np.float32)
# Beyond its sides a picture goes on as it is there.
_BLUR = np.apply_along_axis(np.convolve, 1, np.pad(np.eye(SIZE), 1, "edge"), [0.25, 0.5, 0.25], "valid")[1:-1]
_BLOCK = 1024


def build_fingerprint(pixels: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Return the fingerprint uint8[32, 32, 3] of a picture uint8[H, W, 3]."""
    return np.asarray(Image.fromarray(pixels).resize((SIZE, SIZE), Image.Resampling.BOX))


def is_plain(fingerprint: NDArray[np.uint8]) -> bool:
    """Whether the picture shows too little to be told from others."""
    return bool(fingerprint.reshape(-1, 3).var(axis=0).sum() < MINIMUM_VARIANCE)


def measure_tones(fingerprint: NDArray[np.uint8]) -> tuple[int, ...]:
    """Return the tones of a fingerprint, whole numbers between -510 and 510."""
    channels = fingerprint.astype(np.float64) @ _CHANNELS.T
    places = (np.arange(SIZE) + 0.5) / SIZE
    waves = np.cos(np.pi * np.outer(np.arange(3), places)) / SIZE
    return tuple(round(waves[down] @ channels[..., channel] @ waves[across]) for channel, down, across in _WAVES)


def build_band(tones: Sequence[int]) -> int:
    """Return the first three tones in one number, coarsely."""
    return _join([tone // step for tone, step in zip(tones, _BAND_STEPS, strict=False)])


def list_bands(tones: Sequence[int]) -> list[int]:
    """Return the bands of every picture whose tones are within the tolerances of these."""
    reached = [
        range((tone - reach) // step, (tone + reach) // step + 1)
        for tone, reach, step in zip(tones, TONE_TOLERANCES, _BAND_STEPS, strict=False)
    ]
    return [_join(steps) for steps in product(*reached)]


def _join(steps: Sequence[int]) -> int:
    return ((steps[0] + 128) * 256 + steps[1] + 128) * 256 + steps[2] + 128


def measure_differences(fingerprint: NDArray[np.uint8], others: NDArray[np.uint8]) -> NDArray[np.float64]:
    """Return how much each of the others uint8[N, 32, 32, 3] differs from the fingerprint, float64[N].

    The same whichever of two is the one and which the other. Of those that differ much only roughly.
    """
    differences = np.full(len(others), np.inf)
    template, own_edges = _prepare(fingerprint[np.newaxis])
    for start in range(0, len(others), _BLOCK):
        block, edges = _prepare(others[start : start + _BLOCK])
        edges = np.maximum(edges, own_edges)
        part = differences[start : start + _BLOCK]
        for one in (template, template[:, :, ::-1]):
            slopes = _measure_slopes(one)
            found = _estimate_rest(one[0], slopes[0], block) / edges
            near = np.flatnonzero(found <= _ROUGHLY)
            if near.size:
                # Both ways: one of the two may lead where nothing is to be laid upon.
                ways = (
                    _align(one, slopes, block[near]),
                    _align(block[near], _measure_slopes(block[near]), np.repeat(one, near.size, axis=0)),
                )
                found[near] = np.maximum(np.minimum(*ways) - _NOISE, 0) / edges[near]
            np.minimum(part, found, out=part)
    return differences


def _prepare(pictures: NDArray[np.uint8]) -> tuple[NDArray[np.float32], NDArray[np.float64]]:
    """Return pictures uint8[N, 32, 32, 3] as they are compared, and how strong the edges of each are, float64[N].

    The latter is the mean square of what changes from pixel to pixel.
    """
    sharp = _smooth(pictures.astype(np.float32) @ _COMPARED, times=_BLURS_OF_EDGES)
    down, across = np.gradient(sharp, axis=(1, 2))
    edges = (down**2 + across**2).sum(axis=(1, 2, 3), dtype=np.float64) / SIZE**2
    return _smooth(sharp, times=_BLURS - _BLURS_OF_EDGES), np.asarray(np.maximum(edges, _LEAST_EDGES))


def _smooth(pictures: NDArray[np.float32], *, times: int) -> NDArray[np.float32]:
    """Blur pictures float32[N, 32, 32, 3] so many times by a quarter, a half and a quarter, down and across."""
    blur = np.linalg.matrix_power(_BLUR, times).astype(np.float32)
    down = np.matmul(blur, pictures.reshape(len(pictures), SIZE, -1)).reshape(pictures.shape)
    return np.asarray(np.matmul(blur, down))


def _measure_slopes(templates: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return how each pixel changes with stretching and moving across, and down: float32[N, 3072, 4]."""
    down, across = np.gradient(templates, 2 / (SIZE - 1), axis=(1, 2))
    x, y = _PLACES[np.newaxis, :, np.newaxis], _PLACES[:, np.newaxis, np.newaxis]
    return np.stack([across * x, across, down * y, down], axis=-1).reshape(len(templates), -1, 4)


def _estimate_rest(
    template: NDArray[np.float32], slopes: NDArray[np.float32], pictures: NDArray[np.float32]
) -> NDArray[np.float64]:
    """Return the mean squared difference that no small move or stretch explains (tangent distance, Simard, 1993)."""
    basis, _ = np.linalg.qr(slopes)
    rest = (pictures - template).reshape(len(pictures), -1)
    squared = (rest**2).sum(axis=1) - ((rest @ basis) ** 2).sum(axis=1)
    return np.asarray(np.maximum(squared, 0) / SIZE**2, dtype=np.float64)


def _align(
    templates: NDArray[np.float32], slopes: NDArray[np.float32], pictures: NDArray[np.float32]
) -> NDArray[np.float64]:
    """Return the least difference of each picture, stretched and moved, from its template, or the one, float64[N]."""
    count = len(pictures)
    moves, least = np.zeros((count, 4), dtype=np.float32), np.full(count, np.inf)
    ridge = np.eye(4, dtype=np.float32) * SIZE**2
    for step in range(_STEPS + 1):
        laid, shared = _lay(pictures, moves)
        least = np.minimum(least, _compare(templates, laid, shared))
        if step < _STEPS:
            rest = (laid - templates) * shared[..., np.newaxis]
            weights = np.repeat(shared.reshape(count, -1), 3, axis=1)
            curvature = np.matmul((weights[..., np.newaxis] * slopes).transpose(0, 2, 1), slopes) + ridge
            towards = np.matmul(rest.reshape(count, 1, -1), slopes)[:, 0]
            moves -= np.linalg.solve(curvature, towards[..., np.newaxis])[..., 0]
            np.clip(moves, -_FURTHEST, _FURTHEST, out=moves)
    return least


def _compare(
    templates: NDArray[np.float32], laid: NDArray[np.float32], shared: NDArray[np.float32]
) -> NDArray[np.float64]:
    """Return the mean squared difference of pictures laid upon templates, where both have pixels, float64[N]."""
    rest = (laid - templates) * shared[..., np.newaxis]
    return np.asarray((rest**2).sum(axis=(1, 2, 3)) / shared.sum(axis=(1, 2)), dtype=np.float64)


def _lay(pictures: NDArray[np.float32], moves: NDArray[np.float32]) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Return each picture stretched and moved, and where it has pixels then, 0 or 1."""
    weights, inside = [], []
    for stretch, shift in (moves[:, :2].T, moves[:, 2:].T):
        places = (1 + stretch[:, np.newaxis]) * _PLACES + shift[:, np.newaxis]
        inside.append(np.abs(places) <= 1 + 1 / SIZE)
        pixels = np.clip((places + 1) / 2 * (SIZE - 1), 0, SIZE - 1)
        weights.append(np.maximum(0, 1 - np.abs(pixels[..., np.newaxis] - np.arange(SIZE, dtype=np.float32))))
    across, down = weights
    laid = np.matmul(down, pictures.reshape(len(pictures), SIZE, -1)).reshape(pictures.shape)
    laid = np.matmul(across[:, np.newaxis], laid)
    return laid.astype(np.float32), (inside[1][:, :, np.newaxis] & inside[0][:, np.newaxis]).astype(np.float32)

"""The same photograph, found again: resized, compressed, mirrored, or with a little cut off at each side.

A fingerprint is the picture in 32 x 32 pixels of colour. Two are laid upon each other, as they are and mirrored, by
moving and stretching one until they differ least (Lucas and Kanade, 1981), and compared where both have pixels. What
differs then is told as a share of what the picture itself varies, and at most of what an ordinary one does: something
dark on white varies so much that the difference between two dark things is a small share of it.

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
#: Two fingerprints that differ by no more are of one photograph.
MAXIMUM_DIFFERENCE: Final = 0.225
#: More than this, as the sum of the variances of red, green and blue, no picture counts as varying.
_ORDINARY_VARIANCE: Final = 2000.0
#: A picture that varies less, as the sum of the variances of red, green and blue, says too little.
MINIMUM_VARIANCE: Final = 100.0
#: By how much each tone of one photograph may change.
TONE_TOLERANCES: Final = (10, 7, 18, 14, 12, 16)

# Brightness, blue-yellow and red-green, by Rec. 601, and the waves of each: (channel, down, across). Across only whole
# waves, which look the same in a mirror. Chroma counts four times, since it changes less.
_CHANNELS = np.array([[0.299, 0.587, 0.114], [-0.675, -1.325, 2.0], [2.0, -1.675, -0.325]])
_WAVES = ((0, 0, 2), (0, 2, 2), (0, 0, 0), (2, 0, 2), (1, 0, 2), (0, 2, 0))
_PLACES = np.linspace(-1, 1, SIZE, dtype=np.float32)
#: The furthest that a side may move, of half the picture's length.
_FURTHEST = 0.16
_STEPS = 8
# What moving and stretching leave of the difference when they are only estimated: enough to look closer.
_ROUGHLY = 0.9
# They are laid upon each other blurred so often, and then compared as sharp as a small JPEG may still be.
_BLURS, _BLURS_COMPARED = 3, 1
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
    """Return the first three tones in one number, each in steps of its tolerance."""
    return _join([tone // step for tone, step in zip(tones, TONE_TOLERANCES[:3], strict=False)])


def list_bands(tones: Sequence[int]) -> list[int]:
    """Return the bands of every picture whose tones are within the tolerances of these."""
    steps = [tone // step for tone, step in zip(tones, TONE_TOLERANCES[:3], strict=False)]
    return [_join([a + b for a, b in zip(steps, moved, strict=True)]) for moved in product((-1, 0, 1), repeat=3)]


def _join(steps: Sequence[int]) -> int:
    return ((steps[0] + 128) * 256 + steps[1] + 128) * 256 + steps[2] + 128


def measure_differences(fingerprint: NDArray[np.uint8], others: NDArray[np.uint8]) -> NDArray[np.float64]:
    """Return how much each of the others uint8[N, 32, 32, 3] differs from the fingerprint, float64[N].

    The same whichever of two is the one and which the other. Of those that differ much only roughly.
    """
    differences = np.full(len(others), np.inf)
    for template in (fingerprint, fingerprint[:, ::-1]):
        sharp, smooth = _blur(template[np.newaxis])
        slopes = _measure_slopes(smooth)
        for start in range(0, len(others), _BLOCK):
            sharp_block, block = _blur(others[start : start + _BLOCK])
            variances = np.minimum(np.maximum(_measure_variance(smooth), _measure_variance(block)), _ORDINARY_VARIANCE)
            found = _estimate_rest(smooth[0], slopes[0], block)
            near = np.flatnonzero(found <= _ROUGHLY * variances)
            if near.size:
                laid = _lay(sharp_block[near], _align(smooth, slopes, block[near]))
                # The other way round: one of the two may lead where nothing is to be laid upon.
                moves = _align(block[near], _measure_slopes(block[near]), np.repeat(smooth, near.size, axis=0))
                turned = _lay(np.repeat(sharp, near.size, axis=0), moves)
                found[near] = np.minimum(_compare(sharp, *laid), _compare(sharp_block[near], *turned))
            part = differences[start : start + _BLOCK]
            np.minimum(part, found / variances, out=part)
    return differences


def _blur(pictures: NDArray[np.uint8]) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Return pictures uint8[N, 32, 32, 3] as they are compared, and as they are laid upon each other."""
    sharp = _smooth(pictures.astype(np.float32), times=_BLURS_COMPARED)
    return sharp, _smooth(sharp, times=_BLURS - _BLURS_COMPARED)


def _measure_variance(pictures: NDArray[np.float32]) -> NDArray[np.float64]:
    """Return the sum of the variances of red, green and blue of each picture, and 1, float64[N]."""
    return np.asarray(pictures.reshape(len(pictures), -1, 3).var(axis=1).sum(axis=1, dtype=np.float64) + 1)


def _smooth(pictures: NDArray[np.float32], *, times: int) -> NDArray[np.float32]:
    """Blur pictures float32[N, 32, 32, 3] so many times by a quarter, a half and a quarter, down and across."""
    for _ in range(times):
        for axis in (1, 2):
            first, last = pictures.take([0], axis), pictures.take([SIZE - 1], axis)
            before = np.concatenate([first, pictures.take(range(SIZE - 1), axis)], axis)
            behind = np.concatenate([pictures.take(range(1, SIZE), axis), last], axis)
            pictures = (before + 2 * pictures + behind) / 4
    return pictures


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
) -> NDArray[np.float32]:
    """Return how each picture is stretched and moved to differ least from its template, or the one, float32[N, 4]."""
    count = len(pictures)
    moves = np.zeros((count, 4), dtype=np.float32)
    best, least = moves.copy(), np.full(count, np.inf)
    ridge = np.eye(4, dtype=np.float32) * SIZE**2
    for step in range(_STEPS + 1):
        laid, shared = _lay(pictures, moves)
        differences = _compare(templates, laid, shared)
        is_better = differences < least
        best[is_better], least[is_better] = moves[is_better], differences[is_better]
        if step < _STEPS:
            rest = (laid - templates) * shared[..., np.newaxis]
            weights = np.repeat(shared.reshape(count, -1), 3, axis=1)
            curvature = np.matmul((weights[..., np.newaxis] * slopes).transpose(0, 2, 1), slopes) + ridge
            towards = np.matmul(rest.reshape(count, 1, -1), slopes)[:, 0]
            moves -= np.linalg.solve(curvature, towards[..., np.newaxis])[..., 0]
            np.clip(moves, -_FURTHEST, _FURTHEST, out=moves)
    return best


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

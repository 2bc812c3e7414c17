"""What happens to training pictures before the network sees them, in the canonical form, with NumPy and a seed."""

import numpy as np
from numpy.typing import NDArray

from classifier.ml.config import AugmentationSpec
from classifier.ml.data.shop_pictures import alter_for_shop
from classifier.ml.labels import GARMENTS


def augment(
    pictures: NDArray[np.uint8],
    *,
    targets: NDArray[np.float32],
    spec: AugmentationSpec,
    generator: np.random.Generator,
) -> tuple[NDArray[np.uint8], NDArray[np.float32]]:
    """New pictures uint8[N, S, S, 1] and targets float32[N, 10] of the same order; the arguments are not changed.

    ``targets`` are probabilities of the garments. They change for outliers only, whose target is the same for every
    garment. The same generator state gives the same pictures.
    """
    result = pictures.copy()
    targets = targets.copy()
    count = len(result)
    if spec.flip:
        flipped = generator.random(count) < 0.5
        result[flipped] = result[flipped, :, ::-1]
    if spec.shift_pixels:
        result = _shift(result, largest=spec.shift_pixels, generator=generator)
    labels = targets.argmax(axis=1)
    for index in np.flatnonzero(generator.random(count) < spec.shop_share):
        result[index, :, :, 0] = alter_for_shop(
            result[index, :, :, 0],
            label=int(labels[index]),
            others=pictures[:, :, :, 0],
            other_labels=labels,
            generator=generator,
        )
    for index in np.flatnonzero(generator.random(count) < spec.erase_share):
        _erase(result[index, :, :, 0], generator=generator)
    for index in np.flatnonzero(generator.random(count) < spec.outlier_share):
        result[index, :, :, 0] = draw_outlier(result[index, :, :, 0], generator=generator)
        targets[index] = 1.0 / len(GARMENTS)
    return result, targets


def draw_outlier(picture: NDArray[np.uint8], *, generator: np.random.Generator) -> NDArray[np.uint8]:
    """Something of the same shape uint8[S, S] that is no clothing: blank, noise, a gradient, a shape, or scraps.

    ``picture`` lends its pixels to the scraps, so that texture alone is not taken for a garment.
    """
    size = picture.shape[0]
    kind = generator.integers(6)
    if kind == 0:
        value = np.full((size, size), generator.uniform(0, 255))
    elif kind == 1:
        value = generator.uniform(0, 255, (size, size))
    elif kind == 2:
        # Noise of a coarser grain, as from a texture out of focus.
        grain = int(generator.integers(2, 8))
        coarse = generator.uniform(0, 255, (-(-size // grain), -(-size // grain)))
        value = np.kron(coarse, np.ones((grain, grain)))[:size, :size]
    elif kind == 3:
        rows, columns = np.mgrid[0:size, 0:size] / (size - 1)
        angle = generator.uniform(0, 2 * np.pi)
        slope = np.cos(angle) * (rows - 0.5) + np.sin(angle) * (columns - 0.5)
        value = np.clip(127 + 255 * slope, 0, 255)
    elif kind == 4:
        value = _draw_shapes(size, generator=generator)
    else:
        tile = size // 4
        side = 4 * tile
        scraps = picture[:side, :side].reshape(4, tile, 4, tile).swapaxes(1, 2).reshape(16, tile, tile)
        mixed = scraps[generator.permutation(16)].reshape(4, 4, tile, tile)
        value = np.zeros((size, size))
        value[:side, :side] = mixed.swapaxes(1, 2).reshape(side, side)
    return np.asarray(np.clip(value, 0, 255), dtype=np.uint8)


def _draw_shapes(size: int, *, generator: np.random.Generator) -> NDArray[np.float64]:
    value = np.zeros((size, size))
    rows, columns = np.mgrid[0:size, 0:size]
    for _ in range(int(generator.integers(1, 5))):
        row, column = generator.uniform(0, size, 2)
        radius_rows, radius_columns = generator.uniform(1, size / 2, 2)
        power = generator.choice([1.0, 2.0, 8.0])
        inside = np.abs((rows - row) / radius_rows) ** power + np.abs((columns - column) / radius_columns) ** power < 1
        value[inside] = generator.uniform(40, 255)
    return value


def _shift(pictures: NDArray[np.uint8], *, largest: int, generator: np.random.Generator) -> NDArray[np.uint8]:
    count, height, width, _ = pictures.shape
    padded = np.pad(pictures, ((0, 0), (largest, largest), (largest, largest), (0, 0)))
    rows = generator.integers(0, 2 * largest + 1, (count, 1)) + np.arange(height)
    columns = generator.integers(0, 2 * largest + 1, (count, 1)) + np.arange(width)
    return np.asarray(padded[np.arange(count)[:, None, None], rows[:, :, None], columns[:, None, :]])


def _erase(picture: NDArray[np.uint8], *, generator: np.random.Generator) -> None:
    """Overwrite a rectangle of 2 % to 20 % of the picture with one value or with noise, in place."""
    size = picture.shape[0]
    area, ratio = generator.uniform(0.02, 0.2) * size * size, np.exp(generator.uniform(-1, 1))
    height = int(np.clip(round(np.sqrt(area * ratio)), 1, size))
    width = int(np.clip(round(np.sqrt(area / ratio)), 1, size))
    top, left = generator.integers(0, size - height + 1), generator.integers(0, size - width + 1)
    if generator.random() < 0.5:
        picture[top : top + height, left : left + width] = generator.integers(0, 256)
    else:
        picture[top : top + height, left : left + width] = generator.integers(0, 256, (height, width))

"""What is measured of a picture's pixels as it is decoded: light and sharpness, by which later ones are compared."""

from typing import Final

import numpy as np

from catalog.pictures.decoding import lay_on_ground

#: What is measured, in this order: the logarithm to base 2 of the file's pixels and of its height by its width; then of
#: the brightness from 0 to 1 the mean, the mean at the edge, and the standard deviation; and the mean difference of
#: neighbours in a row beside that deviation.
STATISTICS: Final = ("size", "shape", "brightness", "background", "contrast", "sharpness")
#: Rows and columns that are looked at, at most: of a larger picture every second, third and so on.
_LINES: Final = 100


def measure_picture(pixels: np.ndarray, *, width: int, height: int) -> np.ndarray:
    """Return the `STATISTICS` float32[6] of decoded pixels uint8[H, W, 3 or 4], and of the size that the file has."""
    step = max(1, pixels.shape[0] // _LINES)
    rows = lay_on_ground(pixels[::step])[..., 1].astype(np.float32) / 255
    deviation = float(rows.std())
    edge = np.concatenate([rows[0], rows[-1], rows[:, 0], rows[:, -1]])
    return np.array(
        [
            np.log2(width * height),
            np.log2(height / width),
            rows.mean(),
            edge.mean(),
            deviation,
            np.abs(np.diff(rows, axis=1)).mean() / max(deviation, 0.01),
        ],
        dtype=np.float32,
    )

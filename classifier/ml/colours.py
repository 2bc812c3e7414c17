"""What the second branch of a base looks at: the whole picture in colour, whatever its shape, at one size."""

from collections.abc import Sequence
from typing import Final

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from classifier.ml.types import Picture

#: Pixels on a side. On studio pictures 160 say little more than 128 and take 1.7 times as long.
COLOUR_SIZE: Final = 128
#: The numbers that are left of what the branch sees.
COLOUR_FEATURES: Final = 64


def colour_views(pictures: Sequence[Picture]) -> NDArray[np.uint8]:
    """The pictures as the branch takes them, uint8[N, 128, 128, 3], in the same order.

    A picture is stretched to a square: on studio pictures that is as good as filling one up, and the simplest. Of a
    cut-out picture its ground counts as the rest does.
    """
    views = np.empty((len(pictures), COLOUR_SIZE, COLOUR_SIZE, 3), dtype=np.uint8)
    for view, picture in zip(views, pictures, strict=True):
        pixels = np.ascontiguousarray(picture if picture.ndim == 2 else picture[..., :3])
        resized = Image.fromarray(pixels).resize((COLOUR_SIZE, COLOUR_SIZE), Image.Resampling.BILINEAR)
        view[...] = np.asarray(resized.convert("RGB"))
    return views

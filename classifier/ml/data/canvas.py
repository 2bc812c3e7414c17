"""What all drawing of pictures in canonical form shares: cutting out, framing, pasting, and garments lent by others."""

from typing import Final

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from classifier.ml.types import Picture

#: Pixels (0..255) above this belong to the garment; Fashion-MNIST's own noise stays below.
GARMENT_FLOOR: Final = 12

Generator = np.random.Generator


def cut_out(picture: Picture) -> Picture:
    """The bounding box of what is not background; the whole picture when nothing is."""
    mask = picture > GARMENT_FLOOR
    rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
    if not rows.size:
        return picture
    return picture[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]


def resize(picture: Picture, *, height: int, width: int) -> Picture:
    """The picture at another size, of at least one pixel; what shrinks is averaged."""
    image = Image.fromarray(np.ascontiguousarray(picture))
    return np.asarray(image.resize((max(1, width), max(1, height)), Image.Resampling.BILINEAR))


def frame(picture: Picture, *, size: int) -> Picture:
    """What is not background, with its longer side at the frame, centred."""
    cut = cut_out(picture)
    scale = size / max(cut.shape)
    small = resize(cut, height=round(cut.shape[0] * scale), width=round(cut.shape[1] * scale))[:size, :size]
    return centred(small, size=size)


def centred(picture: Picture, *, size: int) -> Picture:
    """The picture in the middle of a black square of at least its size."""
    result = np.zeros((size, size), dtype=np.uint8)
    top, left = (size - picture.shape[0]) // 2, (size - picture.shape[1]) // 2
    result[top : top + picture.shape[0], left : left + picture.shape[1]] = picture
    return result


def stretch(picture: Picture) -> Picture:
    """The picture with its brightest pixel at 255."""
    peak = int(picture.max())
    return (picture.astype(np.float32) * (255.0 / max(peak, 32))).clip(0, 255).astype(np.uint8)


def new_canvas(*, height: int, width: int) -> tuple[Image.Image, ImageDraw.ImageDraw]:
    """A black picture to draw on, and what draws on it."""
    image = Image.new("L", (width, height))
    return image, ImageDraw.Draw(image)


def paste(image: Image.Image, picture: Picture, *, top: int, centre: float) -> None:
    """Lay a garment over the canvas where it is not background."""
    mask = Image.fromarray(((picture > GARMENT_FLOOR) * 255).astype(np.uint8))
    image.paste(Image.fromarray(np.ascontiguousarray(picture)), (round(centre - picture.shape[1] / 2), top), mask)


class Lender:
    """Lends garments of other pictures, cut out, in a brightness of their own."""

    def __init__(self, pictures: Picture, *, labels: NDArray[np.integer], generator: Generator) -> None:
        self._pictures, self._labels, self._generator = pictures, labels, generator

    def find(self, wanted: tuple[int, ...]) -> Picture | None:
        """A garment with one of the wanted labels, or None when no picture has one."""
        indices = np.flatnonzero(np.isin(self._labels, wanted))
        if not indices.size:
            return None
        picture = self._pictures[self._generator.choice(indices)]
        return cut_out((picture * self._generator.uniform(0.4, 1.0)).astype(np.uint8))

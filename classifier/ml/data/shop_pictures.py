"""Fashion-MNIST pictures altered the way pictures in shops differ from them, still in canonical form.

Shops show garments on people, in pairs, with another garment in view, cut by the frame, on soft backgrounds and in
other light. Each alteration keeps the garment of the label the largest thing in the picture.
"""

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Final

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw
from scipy import ndimage

from classifier.ml.labels import BAGS, BOTTOM_PART, FOOTWEAR, GARMENTS, GROUP_OF_GARMENT, ONE_PIECE, UPPER_PART

_UPPER_LABELS: Final = tuple(i for i, name in enumerate(GARMENTS) if GROUP_OF_GARMENT[name] == UPPER_PART)
_TROUSER_LABEL: Final = GARMENTS.index("Trouser")
#: Pixels (0..255) above this belong to the garment; Fashion-MNIST's own noise stays below.
_GARMENT_FLOOR: Final = 12

_Picture = NDArray[np.uint8]
_Generator = np.random.Generator


def alter_for_shop(
    picture: _Picture, *, label: int, others: _Picture, other_labels: NDArray[np.integer], generator: _Generator
) -> _Picture:
    """A new picture uint8[S, S] of the same garment, as a shop might show it.

    ``others`` uint8[N, S, S] with their ``other_labels`` int[N] lend garments that are worn together with this one.
    """
    size = picture.shape[0]
    group = GROUP_OF_GARMENT[GARMENTS[label]]
    value = _change_tone(picture, generator=generator) if generator.random() < 0.6 else picture
    if generator.random() < 0.45:
        lender = _Lender(others, labels=other_labels, generator=generator)
        value = _WORN[group](_cut_out(value), lender, generator)
    if generator.random() < 0.6:
        value = _turn(value, generator=generator)
    if generator.random() < 0.3:
        value = _cut_by_frame(value, generator=generator)
    value = _frame(value, size=size)
    if generator.random() < 0.5:
        value = _zoom_out(value, factor=generator.uniform(0.75, 1.0))
    if generator.random() < 0.2:
        value = _add_neighbour(value, others[generator.integers(len(others))], generator=generator)
    if generator.random() < 0.35:
        value = _add_background(value, generator=generator)
    if generator.random() < 0.4:
        value = _blur_or_sharpen(value, generator=generator)
    return _stretch(value)


def draw_turned(pictures: _Picture, *, labels: NDArray[np.integer], generator: _Generator) -> _Picture:
    """Pictures as they stand and turned by 90, 180 and 270 degrees, uint8[4, N, S, S] for uint8[N, S, S].

    Two of three are altered for shops first; ``labels`` int[N] are the garments.
    """
    drawn = [
        alter_for_shop(picture, label=int(label), others=pictures, other_labels=labels, generator=generator)
        if number % 3
        else picture
        for number, (picture, label) in enumerate(zip(pictures, labels, strict=True))
    ]
    upright = np.stack(drawn)
    return np.stack([np.rot90(upright, turns, axes=(1, 2)) for turns in range(4)])


class _Lender:
    """Lends garments of other pictures, cut out, in a brightness of their own."""

    def __init__(self, pictures: _Picture, *, labels: NDArray[np.integer], generator: _Generator) -> None:
        self._pictures, self._labels, self._generator = pictures, labels, generator

    def find(self, wanted: tuple[int, ...]) -> _Picture | None:
        """A garment with one of the wanted labels, or None when no picture has one."""
        indices = np.flatnonzero(np.isin(self._labels, wanted))
        if not indices.size:
            return None
        picture = self._pictures[self._generator.choice(indices)]
        return _cut_out((picture * self._generator.uniform(0.4, 1.0)).astype(np.uint8))


def _cut_out(picture: _Picture) -> _Picture:
    """The bounding box of what is not background; the whole picture when nothing is."""
    mask = picture > _GARMENT_FLOOR
    rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
    if not rows.size:
        return picture
    return picture[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]


def _resize(picture: _Picture, *, height: int, width: int) -> _Picture:
    image = Image.fromarray(np.ascontiguousarray(picture))
    return np.asarray(image.resize((max(1, width), max(1, height)), Image.Resampling.BILINEAR))


def _frame(picture: _Picture, *, size: int) -> _Picture:
    """What is not background, with its longer side at the frame, centred."""
    cut = _cut_out(picture)
    scale = size / max(cut.shape)
    small = _resize(cut, height=round(cut.shape[0] * scale), width=round(cut.shape[1] * scale))[:size, :size]
    return _centred(small, size=size)


def _centred(picture: _Picture, *, size: int) -> _Picture:
    result = np.zeros((size, size), dtype=np.uint8)
    top, left = (size - picture.shape[0]) // 2, (size - picture.shape[1]) // 2
    result[top : top + picture.shape[0], left : left + picture.shape[1]] = picture
    return result


def _stretch(picture: _Picture) -> _Picture:
    peak = int(picture.max())
    return (picture.astype(np.float32) * (255.0 / max(peak, 32))).clip(0, 255).astype(np.uint8)


def _change_tone(picture: _Picture, *, generator: _Generator) -> _Picture:
    """Another material: darker or lighter, light on dark turned round, less texture, or lit from one side."""
    silhouette = ndimage.binary_fill_holes(picture > _GARMENT_FLOOR)
    value: NDArray[np.floating] = picture.astype(np.float32)
    kind = generator.integers(4)
    if kind == 0:
        value = 255.0 * (value / 255.0) ** np.exp(generator.uniform(-0.8, 0.8))
    elif kind == 1:
        value = np.where(silhouette, 275.0 - value, value)
    elif kind == 2:
        mean = float(value[silhouette].mean()) if silhouette.any() else 0.0
        value = np.where(silhouette, value + generator.uniform(0.3, 1.0) * (mean - value), value)
    else:
        ramp = np.linspace(generator.uniform(0.4, 1.0), generator.uniform(0.4, 1.0), picture.shape[0])
        value = value * (ramp[:, None] if generator.random() < 0.5 else ramp[None, :])
    return value.clip(0, 255).astype(np.uint8)


def _turn(picture: _Picture, *, generator: _Generator) -> _Picture:
    """The picture turned by up to 14 degrees, sheared and stretched a little, on a larger canvas."""
    angle = np.deg2rad(generator.uniform(-14, 14))
    stretch_rows, stretch_columns = np.exp(generator.uniform(-0.15, 0.15, 2))
    shear = generator.uniform(-0.15, 0.15)
    rotation = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    matrix = rotation @ np.array([[stretch_rows, shear], [0.0, stretch_columns]])
    height, width = picture.shape
    side = int(1.5 * max(height, width))
    centre = np.array([(height - 1) / 2, (width - 1) / 2]) - matrix @ np.full(2, (side - 1) / 2)
    return np.asarray(ndimage.affine_transform(picture, matrix, offset=centre, output_shape=(side, side), order=1))


def _cut_by_frame(picture: _Picture, *, generator: _Generator) -> _Picture:
    """Up to a fifth of the garment cut off at one side or two."""
    cut = _cut_out(picture)
    height, width = cut.shape
    for _ in range(int(generator.integers(1, 3))):
        share = generator.uniform(0.0, 0.2)
        side = generator.integers(4)
        rows, columns = round(share * height), round(share * width)
        cut = (cut[rows:], cut[: len(cut) - rows], cut[:, columns:], cut[:, : cut.shape[1] - columns])[side]
    return cut if cut.size and cut.max() > _GARMENT_FLOOR else picture


def _zoom_out(picture: _Picture, *, factor: float) -> _Picture:
    size = picture.shape[0]
    side = max(1, round(size * factor))
    return _centred(_resize(picture, height=side, width=side), size=size)


def _add_neighbour(picture: _Picture, neighbour: _Picture, *, generator: _Generator) -> _Picture:
    """A strip of another garment that reaches into the picture from one side."""
    size = picture.shape[0]
    depth = int(generator.integers(2, size // 4 + 1))
    strip = np.zeros_like(picture)
    strip[:, :depth] = (neighbour[:, -depth:] * generator.uniform(0.3, 1.0)).astype(np.uint8)
    strip = np.rot90(strip, k=int(generator.integers(4)))
    return np.asarray(np.maximum(picture, strip))


def _add_background(picture: _Picture, *, generator: _Generator) -> _Picture:
    """What a background that is not quite even leaves behind: a slope of light, a shadow, or grain."""
    size = picture.shape[0]
    kind = generator.integers(3)
    if kind == 0:
        rows, columns = np.mgrid[0:size, 0:size] / (size - 1) - 0.5
        angle = generator.uniform(0, 2 * np.pi)
        extra = generator.uniform(20, 90) * np.clip(np.cos(angle) * rows + np.sin(angle) * columns, 0, None)
    elif kind == 1:
        shadow = ndimage.shift(picture.astype(np.float32), generator.uniform(-3, 3, 2), order=1)
        extra = generator.uniform(0.1, 0.4) * ndimage.gaussian_filter(shadow, generator.uniform(1.0, 2.5))
    else:
        extra = generator.uniform(0, generator.uniform(10, 60), (size, size))
    return np.asarray(np.maximum(picture, extra.clip(0, 255).astype(np.uint8)))


def _blur_or_sharpen(picture: _Picture, *, generator: _Generator) -> _Picture:
    value = picture.astype(np.float32)
    blurred: NDArray[np.float32] = ndimage.gaussian_filter(value, generator.uniform(0.4, 0.9))
    if generator.random() < 0.6:
        return blurred.clip(0, 255).astype(np.uint8)
    return (value + generator.uniform(0.5, 1.2) * (value - blurred)).clip(0, 255).astype(np.uint8)


def _canvas(*, height: int, width: int) -> tuple[Image.Image, ImageDraw.ImageDraw]:
    image = Image.new("L", (width, height))
    return image, ImageDraw.Draw(image)


def _paste(image: Image.Image, picture: _Picture, *, top: int, centre: float) -> None:
    """Lay a garment over the canvas where it is not background."""
    mask = Image.fromarray(((picture > _GARMENT_FLOOR) * 255).astype(np.uint8))
    image.paste(Image.fromarray(np.ascontiguousarray(picture)), (round(centre - picture.shape[1] / 2), top), mask)


def _draw_head(
    draw: ImageDraw.ImageDraw, *, centre: float, bottom: float, height: float, generator: _Generator
) -> None:
    skin, hair = (int(value) for value in generator.integers(30, 230, 2))
    half = 0.36 * height
    draw.rectangle((centre - 0.4 * half, bottom - 0.3 * height, centre + 0.4 * half, bottom + 1), fill=skin)
    draw.ellipse((centre - half, bottom - 1.1 * height, centre + half, bottom - 0.15 * height), fill=skin)
    draw.chord((centre - half, bottom - 1.15 * height, centre + half, bottom - 0.3 * height), 180, 360, fill=hair)


def _draw_arms(
    draw: ImageDraw.ImageDraw, *, centre: float, width: float, top: float, length: float, generator: _Generator
) -> None:
    skin, thickness = int(generator.integers(30, 230)), max(2, round(0.12 * width))
    for side in (-1, 1):
        shoulder, hand = centre + side * 0.42 * width, centre + side * generator.uniform(0.3, 0.75) * width
        draw.line((shoulder, top, hand, top + length), fill=skin, width=thickness)


def _draw_legs(
    draw: ImageDraw.ImageDraw, *, centre: float, width: float, top: float, length: float, generator: _Generator
) -> None:
    skin, thickness = int(generator.integers(30, 230)), max(2, round(0.3 * width))
    for side in (-1, 1):
        hip, foot = centre + side * 0.22 * width, centre + side * generator.uniform(0.15, 0.4) * width
        draw.line((hip, top, foot, top + length), fill=skin, width=thickness)
        draw.ellipse((foot - thickness, top + length - 1, foot + thickness, top + length + 2), fill=skin)


def _wear_upper(garment: _Picture, lender: _Lender, generator: _Generator) -> _Picture:
    height, width = garment.shape
    head = generator.uniform(0.2, 0.34) * height if generator.random() < 0.75 else 0.0
    below = generator.uniform(0.1, 0.9) * height if generator.random() < 0.75 else 0.0
    image, draw = _canvas(height=round(head + height + below) + 4, width=2 * width + 8)
    centre = width + 4.0
    if generator.random() < 0.4:
        _draw_arms(draw, centre=centre, width=width, top=head + 0.15 * height, length=0.7 * height, generator=generator)
    trousers = lender.find((_TROUSER_LABEL,))
    if below and trousers is not None:
        legs = _resize(trousers, height=round(1.5 * height), width=round(generator.uniform(0.5, 0.75) * width))
        overlap = round(0.12 * height)
        _paste(image, legs[: round(below) + overlap], top=round(head + height) - overlap, centre=centre)
    _paste(image, garment, top=round(head), centre=centre)
    if head:
        _draw_head(draw, centre=centre, bottom=head + 1, height=head, generator=generator)
    return np.asarray(image)


def _wear_one_piece(garment: _Picture, lender: _Lender, generator: _Generator) -> _Picture:
    height, width = garment.shape
    head = generator.uniform(0.12, 0.24) * height if generator.random() < 0.75 else 0.0
    below = generator.uniform(0.1, 0.6) * height if generator.random() < 0.75 else 0.0
    image, draw = _canvas(height=round(head + height + below) + 4, width=3 * width + 8)
    centre = 1.5 * width + 4.0
    if below:
        _draw_legs(draw, centre=centre, width=0.8 * width, top=head + 0.9 * height, length=below, generator=generator)
    if generator.random() < 0.5:
        _draw_arms(draw, centre=centre, width=width, top=head + 0.1 * height, length=0.45 * height, generator=generator)
    _paste(image, garment, top=round(head), centre=centre)
    if head:
        _draw_head(draw, centre=centre, bottom=head + 1, height=head, generator=generator)
    return np.asarray(image)


def _wear_bottom(garment: _Picture, lender: _Lender, generator: _Generator) -> _Picture:
    if generator.random() < 0.3:
        # Shorts, which Fashion-MNIST has not: trousers that end above the knee or below it.
        garment = garment[: max(4, round(generator.uniform(0.3, 0.7) * len(garment)))]
        if generator.random() < 0.5:
            return garment
    height, width = garment.shape
    above = generator.uniform(0.05, 0.4) * height
    image, draw = _canvas(height=round(above + height) + 6, width=3 * width + 8)
    centre = 1.5 * width + 4.0
    top = lender.find(_UPPER_LABELS)
    if generator.random() < 0.5:
        foot, tone = max(2.0, 0.2 * width), int(generator.integers(60, 255))
        for side in (-1, 1):
            middle, bottom = centre + side * 0.3 * width, above + height
            draw.ellipse((middle - foot, bottom - 2, middle + foot, bottom + 2), fill=tone)
    _paste(image, garment, top=round(above), centre=centre)
    if top is not None:
        upper = _resize(top, height=round(0.75 * height), width=round(generator.uniform(1.1, 1.7) * width))
        visible = upper[-(round(above) + round(0.08 * height)) :]
        _paste(image, visible, top=0, centre=centre)
    return np.asarray(image)


def _wear_footwear(garment: _Picture, lender: _Lender, generator: _Generator) -> _Picture:
    height, width = garment.shape
    if generator.random() < 0.7:
        # A pair: the other shoe stands behind this one or beside it.
        scale = generator.uniform(0.8, 1.0)
        other = _resize(garment, height=round(height * scale), width=round(width * scale))
        if generator.random() < 0.25:
            other = other[:, ::-1]
        shift_rows, shift_columns = generator.uniform(-0.6, 0.3) * height, generator.uniform(-0.5, 0.5) * width
        image, _ = _canvas(height=3 * height, width=3 * width)
        _paste(image, other, top=round(height + shift_rows), centre=1.5 * width + shift_columns)
        _paste(image, garment, top=height, centre=1.5 * width)
        return np.asarray(image)
    leg = round(generator.uniform(0.2, 0.8) * width)
    image, draw = _canvas(height=leg + height, width=width)
    upper = garment[: max(1, height // 3)]
    side = 0.78 if upper[:, width // 2 :].sum() > upper[:, : width // 2].sum() else 0.22
    half = generator.uniform(0.08, 0.16) * width
    draw.rectangle(
        (side * width - half, 0, side * width + half, leg + height // 2), fill=int(generator.integers(30, 230))
    )
    _paste(image, garment, top=leg, centre=width / 2)
    return np.asarray(image)


def _wear_bag(garment: _Picture, lender: _Lender, generator: _Generator) -> _Picture:
    """A bag with a long strap or a tall handle, of which Fashion-MNIST shows few."""
    height, width = garment.shape
    above = round(generator.uniform(0.2, 0.9) * max(height, width // 2))
    image, draw = _canvas(height=above + height, width=width)
    tone, thickness = int(generator.integers(60, 255)), int(generator.integers(1, 3))
    left, right = generator.uniform(0.0, 0.35) * width, generator.uniform(0.65, 1.0) * width
    draw.arc((left, 0, right, 2 * above), 180, 360, fill=tone, width=thickness)
    _paste(image, garment, top=above, centre=width / 2)
    return np.asarray(image)


_WORN: Final[Mapping[str, Callable[[_Picture, _Lender, _Generator], _Picture]]] = MappingProxyType(
    {
        UPPER_PART: _wear_upper,
        BOTTOM_PART: _wear_bottom,
        ONE_PIECE: _wear_one_piece,
        FOOTWEAR: _wear_footwear,
        BAGS: _wear_bag,
    }
)

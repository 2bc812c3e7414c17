"""Fashion-MNIST pictures altered the way pictures in shops differ from them, still in canonical form.

Shops show garments on people, in pairs, with another garment in view, cut by the frame, on soft backgrounds and in
other light. Each alteration keeps the garment of the label the largest thing in the picture.
"""

import numpy as np
import scipy
from numpy.typing import NDArray

from classifier.ml.data.canvas import (
    GARMENT_FLOOR,
    Generator,
    Lender,
    centred,
    cut_out,
    frame,
    resize,
    stretch,
)
from classifier.ml.data.worn import wear
from classifier.ml.labels import GARMENTS, GROUP_OF_GARMENT
from classifier.ml.types import Picture


def alter_for_shop(
    picture: Picture,
    *,
    label: int,
    others: Picture,
    other_labels: NDArray[np.integer],
    generator: Generator,
    worn: float = 0.45,
) -> Picture:
    """A new picture uint8[S, S] of the same garment, as a shop might show it, with a probability of ``worn`` worn.

    ``others`` uint8[N, S, S] with their ``other_labels`` int[N] lend garments that are worn together with this one.
    """
    size = picture.shape[0]
    group = GROUP_OF_GARMENT[GARMENTS[label]]
    value = _change_tone(picture, generator=generator) if generator.random() < 0.6 else picture
    is_worn = generator.random() < worn
    if is_worn:
        lender = Lender(others, labels=other_labels, generator=generator)
        value = wear(value, group=group, lender=lender, generator=generator)
    # People stand upright more often than garments lie straight.
    if generator.random() < (0.3 if is_worn else 0.6):
        value = _turn(value, generator=generator)
    if generator.random() < 0.3:
        value = _cut_by_frame(value, generator=generator)
    value = frame(value, size=size)
    if generator.random() < 0.5:
        value = _zoom_out(value, factor=generator.uniform(0.75, 1.0))
    if generator.random() < 0.2:
        value = _add_neighbour(value, others[generator.integers(len(others))], generator=generator)
    if generator.random() < 0.35:
        value = _add_background(value, generator=generator)
    if generator.random() < 0.4:
        value = _blur_or_sharpen(value, generator=generator)
    return stretch(value)


def draw_turned(pictures: Picture, *, labels: NDArray[np.integer], generator: Generator) -> Picture:
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


def _change_tone(picture: Picture, *, generator: Generator) -> Picture:
    """Another material: darker or lighter, light on dark turned round, less texture, or lit from one side."""
    silhouette = scipy.ndimage.binary_fill_holes(picture > GARMENT_FLOOR)
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


def _turn(picture: Picture, *, generator: Generator) -> Picture:
    """The picture turned by up to 14 degrees, sheared and stretched a little, on a larger canvas."""
    angle = np.deg2rad(generator.uniform(-14, 14))
    stretch_rows, stretch_columns = np.exp(generator.uniform(-0.15, 0.15, 2))
    shear = generator.uniform(-0.15, 0.15)
    rotation = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    matrix = rotation @ np.array([[stretch_rows, shear], [0.0, stretch_columns]])
    height, width = picture.shape
    side = int(1.5 * max(height, width))
    centre = np.array([(height - 1) / 2, (width - 1) / 2]) - matrix @ np.full(2, (side - 1) / 2)
    return np.asarray(
        scipy.ndimage.affine_transform(picture, matrix, offset=centre, output_shape=(side, side), order=1)
    )


def _cut_by_frame(picture: Picture, *, generator: Generator) -> Picture:
    """Up to a fifth of the garment cut off at one side or two."""
    cut = cut_out(picture)
    height, width = cut.shape
    for _ in range(int(generator.integers(1, 3))):
        share = generator.uniform(0.0, 0.2)
        side = generator.integers(4)
        rows, columns = round(share * height), round(share * width)
        cut = (cut[rows:], cut[: len(cut) - rows], cut[:, columns:], cut[:, : cut.shape[1] - columns])[side]
    return cut if cut.size and cut.max() > GARMENT_FLOOR else picture


def _zoom_out(picture: Picture, *, factor: float) -> Picture:
    size = picture.shape[0]
    side = max(1, round(size * factor))
    return centred(resize(picture, height=side, width=side), size=size)


def _add_neighbour(picture: Picture, neighbour: Picture, *, generator: Generator) -> Picture:
    """Another garment in view: a strip of it that reaches in from one side, or all of it, small, in a corner."""
    size = picture.shape[0]
    extra = np.zeros_like(picture)
    if generator.random() < 0.6:
        depth = int(generator.integers(2, size // 4 + 1))
        extra[:, :depth] = neighbour[:, -depth:]
    else:
        side = round(generator.uniform(0.25, 0.42) * size)
        row = int(generator.integers(0, size - side + 1))
        extra[row : row + side, :side] = resize(neighbour, height=side, width=side)
    extra = np.rot90((extra * generator.uniform(0.3, 1.0)).astype(np.uint8), k=int(generator.integers(4)))
    return np.asarray(np.maximum(picture, extra))


def leave_edge(picture: Picture, *, generator: Generator) -> Picture:
    """What cutting out leaves of a frame, a mat or bars: lines or stripes of one tone at one to four sides.

    uint8[S, S] of the same shape; the garment moves inwards a little, or is covered at its ends.
    """
    size = picture.shape[0]
    result = _zoom_out(picture, factor=generator.uniform(0.8, 1.0))
    tone = int(generator.integers(50, 256))
    kind = generator.integers(3)
    if kind == 0:
        # A frame: all four sides, or those that were not cut off.
        depth, sides = int(generator.integers(1, 3)), generator.random(4) < generator.choice([0.5, 1.0])
    elif kind == 1:
        # Bars at two opposite sides.
        depth, sides = int(generator.integers(2, 6)), np.array([True, False, True, False])
        sides = np.roll(sides, generator.integers(2))
    else:
        # A floor or a table's edge.
        depth, sides = int(generator.integers(1, size // 4)), np.array([True, False, False, False])
    for turns in np.flatnonzero(sides):
        np.rot90(result, k=int(turns))[-depth:] = tone
    return stretch(result)


def show_outline(picture: Picture, *, generator: Generator) -> Picture:
    """A white or transparent garment, uint8[S, S]: outline and seams are to be seen, and little of what is between."""
    value = picture.astype(np.float32)
    silhouette = scipy.ndimage.binary_fill_holes(picture > GARMENT_FLOOR)
    inner = scipy.ndimage.binary_erosion(silhouette)
    seams = np.hypot(scipy.ndimage.sobel(value, axis=0), scipy.ndimage.sobel(value, axis=1))
    faint = generator.uniform(0.0, 0.35) * value + generator.uniform(0.0, 0.5) * seams
    outline = generator.uniform(90, 255) * (silhouette & ~inner)
    drawn = np.where(silhouette, np.maximum(faint + generator.uniform(0, 60), outline), 0.0)
    if generator.random() < 0.5:
        drawn = scipy.ndimage.gaussian_filter(drawn, generator.uniform(0.3, 0.7))
    return stretch(drawn.clip(0, 255).astype(np.uint8))


def _add_background(picture: Picture, *, generator: Generator) -> Picture:
    """What a background that is not quite even leaves behind: a slope of light, a shadow, or grain."""
    size = picture.shape[0]
    kind = generator.integers(3)
    if kind == 0:
        rows, columns = np.mgrid[0:size, 0:size] / (size - 1) - 0.5
        angle = generator.uniform(0, 2 * np.pi)
        extra = generator.uniform(20, 90) * np.clip(np.cos(angle) * rows + np.sin(angle) * columns, 0, None)
    elif kind == 1:
        shadow = scipy.ndimage.shift(picture.astype(np.float32), generator.uniform(-3, 3, 2), order=1)
        extra = generator.uniform(0.1, 0.4) * scipy.ndimage.gaussian_filter(shadow, generator.uniform(1.0, 2.5))
    else:
        extra = generator.uniform(0, generator.uniform(10, 60), (size, size))
    return np.asarray(np.maximum(picture, extra.clip(0, 255).astype(np.uint8)))


def _blur_or_sharpen(picture: Picture, *, generator: Generator) -> Picture:
    value = picture.astype(np.float32)
    blurred: NDArray[np.float32] = scipy.ndimage.gaussian_filter(value, generator.uniform(0.4, 0.9))
    if generator.random() < 0.6:
        return blurred.clip(0, 255).astype(np.uint8)
    return (value + generator.uniform(0.5, 1.2) * (value - blurred)).clip(0, 255).astype(np.uint8)

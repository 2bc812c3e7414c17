"""Kinds of clothing that shops show and Fashion-MNIST has not, drawn in canonical form from simple shapes.

Shoes in pairs from above, shorts and skirts without their wearer, backpacks. Training pictures lend texture.
"""

from dataclasses import dataclass
from typing import Final

import numpy as np
import scipy
from numpy.typing import NDArray
from PIL import Image

from classifier.ml.data.canvas import Generator, cut_out, frame, new_canvas, resize, stretch
from classifier.ml.labels import BAGS, BOTTOM_PART, FOOTWEAR, GARMENTS, LABELS_OF_GROUP
from classifier.ml.types import Picture

#: Rows of a shoe, a skirt or a backpack as it is drawn; the canonical form has less than half.
_ROWS: Final = 64
_SANDAL: Final = (GARMENTS.index("Sandal"),)
_SNEAKER: Final = (GARMENTS.index("Sneaker"),)

_Values = NDArray[np.floating]


@dataclass(frozen=True, slots=True)
class DrawnPicture:
    """A drawn picture uint8[S, S] and the labels of the garments that it may be, all of one group."""

    picture: Picture
    labels: tuple[int, ...]


def draw_shoe_pair(texture: Picture, *, generator: Generator) -> DrawnPicture:
    """Two shoes from above, one the mirror image of the other; now and then one alone.

    What has an opening may be any footwear; laces make it a sneaker, straps a sandal.
    """
    kind = str(generator.choice(["opening", "laces", "straps", "thong"], p=[0.4, 0.25, 0.2, 0.15]))
    shoe = _draw_shoe(kind, generator=generator)
    if generator.random() < 0.45:
        shoe = _lay_texture(shoe, texture, strength=generator.uniform(0.2, 0.7))
    labels = {"opening": LABELS_OF_GROUP[FOOTWEAR], "laces": _SNEAKER}.get(kind, _SANDAL)
    length, width = shoe.shape
    splay, tilt = generator.uniform(-9, 16), generator.uniform(-8, 8)
    left, right = _rotate(shoe, splay + tilt), _rotate(shoe[:, ::-1], -splay + tilt)
    apart = round(generator.uniform(0.85, 1.35) * width)
    lower = round(generator.uniform(-0.2, 0.2) * length) if generator.random() < 0.6 else 0
    side = 2 * max(left.shape) + apart
    value = np.zeros((side, side), dtype=np.uint8)
    places = [(left, -apart / 2, -lower / 2), (right, apart / 2, lower / 2)]
    if generator.random() < 0.1:
        places = places[:1]
    for one, column, row in places[:: int(generator.choice([-1, 1]))]:
        top, start = round((side - one.shape[0]) / 2 + row), round((side - one.shape[1]) / 2 + column)
        place = value[top : top + one.shape[0], start : start + one.shape[1]]
        np.copyto(place, one, where=one > 0)
    # Toes up or down, seldom across; seen a little from behind or from the side.
    angle = generator.choice([0.0, 180.0], p=[0.6, 0.4]) + generator.normal(0, 12)
    if generator.random() < 0.2:
        angle = generator.uniform(0, 360)
    value = cut_out(_rotate(cut_out(value), angle))
    value = resize(value, height=round(generator.uniform(0.65, 1.05) * len(value)), width=value.shape[1])
    return DrawnPicture(_finish(value, size=len(texture), generator=generator), labels)


def draw_shorts_or_skirt(texture: Picture, *, trousers: Picture | None, generator: Generator) -> DrawnPicture:
    """Shorts cut from a picture of trousers, uint8[S, S], or a skirt of the texture of any picture."""
    if trousers is not None and generator.random() < 0.5:
        whole = cut_out(trousers)
        short = whole[: max(4, round(generator.uniform(0.3, 0.6) * len(whole)))]
        value = resize(short, height=2 * len(short), width=round(2 * generator.uniform(1.1, 2.2) * short.shape[1]))
    else:
        value = _draw_skirt(texture, generator=generator)
    return DrawnPicture(_finish(value, size=len(texture), generator=generator), LABELS_OF_GROUP[BOTTOM_PART])


def draw_backpack(texture: Picture, *, generator: Generator) -> DrawnPicture:
    """A backpack from the front: rounded at the top, with a loop, pockets and zips."""
    width = round(_ROWS * generator.uniform(0.6, 0.95))
    rows, columns = _grid(width)
    round_top = generator.uniform(0.12, 0.4)
    narrow = generator.uniform(0.7, 1.0)
    edge = np.interp(rows, [0.0, 0.93, 1.0], [narrow, 1.0, generator.uniform(0.75, 0.97)])
    edge = edge * np.sqrt(np.clip(1 - np.clip(1 - rows / round_top, 0, None) ** 2.5, 0, 1))
    across = np.abs(columns) / np.maximum(edge, 0.02)
    value = _shade(across, generator=generator)
    seam = generator.uniform(0, 255)
    if generator.random() < 0.85:
        # A pocket in front, lighter or darker, with its zip.
        top, wide = generator.uniform(0.35, 0.65), generator.uniform(0.55, 0.9)
        pocket = (rows > top) & (rows < generator.uniform(0.86, 0.97)) & (across < wide)
        value = np.where(pocket, value * generator.uniform(0.5, 1.5), value)
        value = np.where(pocket & (rows < top + 0.035), seam, value)
    if generator.random() < 0.6:
        arch = np.hypot(columns / 0.8, np.minimum(rows - 0.45, 0) / 0.33)
        value = np.where(np.abs(arch - 1) < 0.06, seam, value)
    if generator.random() < 0.3:
        value = np.where(np.abs(across - generator.uniform(0.4, 0.7)) < 0.07, seam, value)
    value = np.where((across < 1) & (edge > 0.03), value.clip(20, 255), 0.0)
    pack = value.astype(np.uint8)
    if generator.random() < 0.5:
        pack = _lay_texture(pack, texture, strength=generator.uniform(0.2, 0.7))
    above = round(generator.uniform(0.03, 0.14) * _ROWS)
    image, draw = new_canvas(height=_ROWS + above, width=width + 12)
    half, tone = generator.uniform(0.1, 0.2) * width, int(generator.integers(60, 256))
    middle = width / 2 + 6
    draw.arc((middle - half, 0, middle + half, 3 * above), 180, 360, fill=tone, width=int(generator.integers(2, 5)))
    if generator.random() < 0.3:
        # Straps that stand out at the sides.
        low = above + round(generator.uniform(0.6, 0.95) * _ROWS)
        draw.ellipse((0, above + 0.15 * _ROWS, width + 11, low), outline=tone, width=int(generator.integers(2, 5)))
    image.paste(Image.fromarray(pack), (6, above), Image.fromarray(((pack > 0) * 255).astype(np.uint8)))
    return DrawnPicture(_finish(np.asarray(image), size=len(texture), generator=generator), LABELS_OF_GROUP[BAGS])


def _draw_shoe(kind: str, *, generator: Generator) -> Picture:
    """One shoe, toes up, uint8[H, W] with its inner side on the right."""
    width = round(_ROWS * generator.uniform(0.33, 0.46))
    rows, columns = _grid(width)
    point, waist = generator.uniform(0, 1), generator.uniform(0.62, 0.82)
    half = np.interp(
        rows,
        [0.0, 0.04, 0.12, 0.3, 0.42, 0.6, 0.82, 0.94, 1.0],
        [0.25 - 0.2 * point, 0.55 - 0.3 * point, 0.8 - 0.25 * point, 0.97, 0.95, waist, waist, 0.8 * waist, 0.3],
    )
    inwards = generator.uniform(-0.02, 0.14) * np.sin(np.pi * rows) - generator.uniform(0, 0.12) * (1 - rows) ** 2
    across = (columns + inwards) / half
    value = _shade(np.abs(across), generator=generator)
    base, other = float(value.max()), generator.uniform(15, 255)
    if kind in ("opening", "laces"):
        middle, deep = (generator.uniform(0.6, 0.72), generator.uniform(0.2, 0.32))
        if kind == "laces":
            middle, deep = generator.uniform(0.72, 0.8), generator.uniform(0.11, 0.18)
            tongue = (rows > 0.26) & (rows < middle) & (np.abs(across) < generator.uniform(0.3, 0.5))
            stripes = np.sin(2 * np.pi * rows * generator.uniform(9, 14)) > 0
            value = np.where(tongue, np.where(stripes, other, value * 0.6), value)
            if generator.random() < 0.5:
                value = np.where(np.abs(across) > 0.84, generator.uniform(60, 255), value)
            if generator.random() < 0.3:
                value = np.where(rows < 0.18, generator.uniform(60, 255), value)
        hole = np.hypot((rows - middle) / deep, across / generator.uniform(0.5, 0.78))
        value = np.where((hole > 1) & (hole < 1.25), generator.uniform(0.5, 1.4) * base, value)
        value = np.where(hole < 1, generator.choice([0.0, other, 0.3 * base]), value)
        if kind == "opening" and generator.random() < 0.35:
            # A strap or a bow across.
            place = generator.uniform(0.3, 0.55)
            value = np.where(np.abs(rows - place) < 0.035, generator.uniform(30, 255), value)
    else:
        value = value * generator.choice([1.0, 0.3])
        thick = generator.uniform(0.03, 0.07)
        if kind == "straps":
            for place in generator.uniform(0.08, 0.6, int(generator.integers(1, 5))):
                value = np.where(np.abs(rows - place - 0.06 * across**2) < thick, other, value)
            heel = np.hypot((rows - 0.84) / 0.13, across)
            value = np.where((np.abs(heel - 0.9) < 0.14) & (generator.random() < 0.6), other, value)
        else:
            toe = generator.uniform(0.14, 0.22)
            slope = (rows - toe) / generator.uniform(0.2, 0.34)
            on = (np.abs(np.abs(across) - slope) < 2.2 * thick) & (rows > toe - 0.02) & (slope < 1.1)
            value = np.where(on, max(other, 60.0), value)
    return np.where(np.abs(across) < 1, value.clip(0, 255), 0.0).astype(np.uint8)


def _draw_skirt(texture: Picture, *, generator: Generator) -> Picture:
    width = round(_ROWS * generator.uniform(0.6, 1.6))
    rows, columns = _grid(width)
    waist, bend = generator.uniform(0.4, 0.95), generator.uniform(0.5, 1.6)
    across = columns / (waist + (1 - waist) * rows**bend)
    hem = generator.uniform(0.88, 1.0) + (1 - columns**2) * generator.uniform(-0.04, 0.1)
    value = _shade(np.abs(across), generator=generator)
    if generator.random() < 0.5:
        folds = np.sin(across * generator.uniform(5, 22) + generator.uniform(0, 6))
        value = value * (1 - generator.uniform(0.1, 0.4) * (folds > 0) * rows)
    if generator.random() < 0.6:
        value = np.where(rows < generator.uniform(0.05, 0.13), generator.uniform(60, 255), value)
    skirt = np.where((np.abs(across) < 1) & (rows < hem), value.clip(20, 255), 0.0).astype(np.uint8)
    return _lay_texture(skirt, texture, strength=generator.uniform(0.0, 0.9))


def _grid(width: int) -> tuple[_Values, _Values]:
    """Rows float[H, 1] from 0 to 1 and columns float[1, W] from -1 to 1."""
    return (np.arange(_ROWS)[:, None] + 0.5) / _ROWS, (2 * np.arange(width)[None, :] + 1) / width - 1


def _shade(across: _Values, *, generator: Generator) -> _Values:
    """A tone that darkens or brightens towards the edge, where ``across`` is 1, with a little grain."""
    tone, change = generator.uniform(90, 255), generator.uniform(-0.25, 0.5)
    grain = generator.normal(0, generator.uniform(0, 14), across.shape)
    return np.asarray(tone * (1 - change * np.clip(across, 0, 1) ** 3) + grain)


def _lay_texture(shape: Picture, texture: Picture, *, strength: float) -> Picture:
    """The shape with the middle of a picture in canonical form on it, by ``strength`` (0..1)."""
    quarter = len(texture) // 4
    middle = texture[quarter:-quarter, quarter:-quarter]
    patch = resize(middle, height=shape.shape[0], width=shape.shape[1]) / max(float(middle.max()), 1.0)
    return (shape * (1 - strength * (1 - patch))).astype(np.uint8)


def _rotate(picture: Picture, angle: float) -> Picture:
    """The picture turned by degrees, on a canvas that holds all of it."""
    image = Image.fromarray(np.ascontiguousarray(picture))
    return np.asarray(image.rotate(angle, resample=Image.Resampling.BILINEAR, expand=True))


def _finish(picture: Picture, *, size: int, generator: Generator) -> Picture:
    """The canonical form uint8[size, size] of what was drawn: turned a little, framed, mostly on plain ground."""
    turned = _rotate(picture, generator.normal(0, 4)) if generator.random() < 0.7 else picture
    value = frame(turned, size=size).astype(np.float32)
    if generator.random() < 0.25:
        # The shadow that cutting out leaves.
        shadow = scipy.ndimage.shift(value, generator.uniform(-2, 2, 2), order=1)
        value = np.maximum(
            value, generator.uniform(0.1, 0.5) * scipy.ndimage.gaussian_filter(shadow, generator.uniform(1, 2))
        )
    if generator.random() < 0.3:
        value = scipy.ndimage.gaussian_filter(value, generator.uniform(0.3, 0.8))
    return stretch(value.clip(0, 255).astype(np.uint8))

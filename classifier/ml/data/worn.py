"""Garments as people wear them: head, hair, arms and legs beside them, and what is worn together with them.

Drawn at twice the canonical form's size, so that faces and hands are more than a pixel, and reduced afterwards.
"""

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Final

import numpy as np
from PIL import Image, ImageDraw

from classifier.ml.data.canvas import Generator, Lender, cut_out, new_canvas, paste, resize
from classifier.ml.labels import BAGS, BOTTOM_PART, FOOTWEAR, GARMENTS, LABELS_OF_GROUP, ONE_PIECE, UPPER_PART
from classifier.ml.types import Picture

_TROUSER_LABEL: Final = GARMENTS.index("Trouser")
_SCALE: Final = 2


def wear(picture: Picture, *, group: str, lender: Lender, generator: Generator) -> Picture:
    """The garment of a picture in canonical form as somebody wears it, uint8[H, W] of twice its size."""
    worn = cut_out(_WORN[group](_enlarge(cut_out(picture)), lender, generator))
    scale = _SCALE * len(picture) / max(worn.shape)
    return resize(worn, height=round(scale * worn.shape[0]), width=round(scale * worn.shape[1]))


def _enlarge(garment: Picture) -> Picture:
    return resize(garment, height=_SCALE * garment.shape[0], width=_SCALE * garment.shape[1])


def _tone(generator: Generator, least: int = 40) -> int:
    return int(generator.integers(least, 256))


def _draw_hair_behind(
    draw: ImageDraw.ImageDraw, *, centre: float, shoulders: float, head: float, tone: int, generator: Generator
) -> None:
    half = head * generator.uniform(0.34, 0.5)
    draw.ellipse((centre - half, shoulders - 1.05 * head, centre + half, shoulders - 0.1 * head), fill=tone)
    below = shoulders + generator.uniform(0.0, 1.0) * head
    draw.polygon(
        [
            (centre - half, shoulders - 0.6 * head),
            (centre + half, shoulders - 0.6 * head),
            (centre + 0.9 * half, below),
            (centre - 0.9 * half, below),
        ],
        fill=tone,
    )


def _draw_head(
    draw: ImageDraw.ImageDraw, *, centre: float, shoulders: float, head: float, skin: int, hair: int, bald: bool
) -> None:
    """A neck and a face of ``head`` pixels that ends at the shoulders' row, under hair or a cap."""
    half = 0.3 * head
    draw.rectangle((centre - 0.45 * half, shoulders - 0.3 * head, centre + 0.45 * half, shoulders + 1), fill=skin)
    draw.ellipse((centre - half, shoulders - head, centre + half, shoulders - 0.14 * head), fill=skin)
    if not bald:
        draw.chord(
            (centre - 1.1 * half, shoulders - 1.02 * head, centre + 1.1 * half, shoulders - 0.3 * head), 185, 355, hair
        )


def _draw_arm(
    draw: ImageDraw.ImageDraw,
    *,
    shoulder: tuple[float, float],
    side: int,
    width: float,
    length: float,
    tone: int,
    generator: Generator,
) -> None:
    """An arm of two parts, which hangs down or rests on the hip."""
    thick = max(2, round(generator.uniform(0.09, 0.15) * width))
    out = generator.uniform(0.02, 0.14) if generator.random() < 0.75 else generator.uniform(0.2, 0.35)
    elbow = (shoulder[0] + side * out * width, shoulder[1] + 0.5 * length)
    back = generator.uniform(-0.1, 0.05) if out < 0.15 else -generator.uniform(0.05, 0.25)
    hand = (shoulder[0] + side * (out + back) * width, shoulder[1] + length * (1.0 if out < 0.15 else 0.8))
    draw.line((*shoulder, *elbow), fill=tone, width=thick)
    draw.line((*elbow, *hand), fill=tone, width=thick)
    draw.ellipse((hand[0] - 0.6 * thick, hand[1] - thick, hand[0] + 0.6 * thick, hand[1] + thick), fill=tone)


def _draw_legs(
    draw: ImageDraw.ImageDraw,
    *,
    centre: float,
    width: float,
    top: float,
    length: float,
    skin: int,
    generator: Generator,
) -> None:
    """Two bare legs, mostly with shoes."""
    apart, shoe, shod = generator.uniform(0.08, 0.3), _tone(generator), generator.random() < 0.7
    for side in (-1, 1):
        hip, foot = centre + side * 0.22 * width, centre + side * apart * width
        thigh, ankle = 0.17 * width, 0.09 * width
        draw.polygon(
            [
                (hip - thigh, top),
                (hip + thigh, top),
                (foot + ankle, top + length),
                (foot - ankle, top + length),
            ],
            fill=skin,
        )
        outwards = side * 0.08 * width
        draw.ellipse(
            (
                foot + outwards - 0.16 * width,
                top + length - 0.1 * width,
                foot + outwards + 0.16 * width,
                top + length + 0.08 * width,
            ),
            fill=shoe if shod else skin,
        )


def _wear_upper(garment: Picture, lender: Lender, generator: Generator) -> Picture:
    garment = resize(garment, height=len(garment), width=round(generator.uniform(0.68, 1.0) * garment.shape[1]))
    height, width = garment.shape
    head = generator.uniform(0.22, 0.4) * height if generator.random() < 0.85 else 0.0
    below = generator.uniform(0.1, 0.9) * height if generator.random() < 0.85 else 0.0
    image, draw = new_canvas(height=round(head + height + below) + 8, width=2 * width + 16)
    centre, skin, hair = width + 8.0, _tone(generator), _tone(generator, 80)
    long_hair = generator.random() < 0.4
    if head and long_hair:
        _draw_hair_behind(draw, centre=centre, shoulders=head, head=head, tone=hair, generator=generator)
    if generator.random() < 0.7:
        for side in (-1, 1):
            _draw_arm(
                draw,
                shoulder=(centre + side * 0.38 * width, head + 0.14 * height),
                side=side,
                width=width,
                length=generator.uniform(0.75, 1.0) * height,
                tone=skin,
                generator=generator,
            )
    if below:
        _draw_trousers(image, draw, lender, centre=centre, top=head + 0.88 * height, width=width, generator=generator)
    paste(image, garment, top=round(head), centre=centre)
    if head:
        _draw_head(
            draw, centre=centre, shoulders=head + 1, head=head, skin=skin, hair=hair, bald=generator.random() < 0.15
        )
    return np.asarray(image)


def _draw_trousers(
    image: Image.Image,
    draw: ImageDraw.ImageDraw,
    lender: Lender,
    *,
    centre: float,
    top: float,
    width: int,
    generator: Generator,
) -> None:
    """The trousers under a top, as far as the canvas goes: lent ones, or two legs of one tone."""
    wide = round(generator.uniform(0.55, 0.8) * width)
    lent = lender.find((_TROUSER_LABEL,)) if generator.random() < 0.5 else None
    if lent is not None:
        paste(image, resize(lent, height=round(3.2 * wide), width=wide), top=round(top), centre=centre)
        return
    tone, gap = _tone(generator, 60), generator.uniform(0.0, 0.1) * wide
    crotch = top + generator.uniform(0.3, 0.6) * wide
    draw.rectangle((centre - wide / 2, top, centre + wide / 2, image.height), fill=tone)
    draw.polygon([(centre, crotch), (centre - gap, image.height), (centre + gap, image.height)], fill=0)


def _wear_one_piece(garment: Picture, lender: Lender, generator: Generator) -> Picture:
    garment = resize(garment, height=len(garment), width=round(generator.uniform(0.75, 1.1) * garment.shape[1]))
    height, width = garment.shape
    head = generator.uniform(0.14, 0.3) * height if generator.random() < 0.85 else 0.0
    below = generator.uniform(0.1, 0.8) * height if generator.random() < 0.8 else 0.0
    image, draw = new_canvas(height=round(head + height + below) + 8, width=3 * width + 16)
    centre, skin, hair = 1.5 * width + 8.0, _tone(generator), _tone(generator, 80)
    if head and generator.random() < 0.65:
        _draw_hair_behind(draw, centre=centre, shoulders=head, head=head, tone=hair, generator=generator)
    if below:
        _draw_legs(
            draw,
            centre=centre,
            width=min(width, 0.55 * height),
            top=head + 0.92 * height,
            length=below,
            skin=skin,
            generator=generator,
        )
    if generator.random() < 0.7:
        for side in (-1, 1):
            _draw_arm(
                draw,
                shoulder=(centre + side * 0.34 * width, head + 0.08 * height),
                side=side,
                width=width,
                length=generator.uniform(0.4, 0.6) * height,
                tone=skin,
                generator=generator,
            )
    paste(image, garment, top=round(head), centre=centre)
    if head:
        _draw_head(
            draw, centre=centre, shoulders=head + 1, head=head, skin=skin, hair=hair, bald=generator.random() < 0.05
        )
    return np.asarray(image)


def _wear_bottom(garment: Picture, lender: Lender, generator: Generator) -> Picture:
    skin, short = _tone(generator), generator.random() < 0.35
    whole = garment.shape[0]
    if short:
        # Shorts, which Fashion-MNIST has not: trousers that end above the knee or below it.
        garment = garment[: max(4, round(generator.uniform(0.3, 0.7) * len(garment)))]
        if generator.random() < 0.3:
            return garment
    height, width = garment.shape
    above = generator.uniform(0.05, 0.4) * whole
    image, draw = new_canvas(height=round(above + whole) + 12, width=3 * width + 16)
    centre = 1.5 * width + 8.0
    if short:
        _draw_legs(
            draw,
            centre=centre,
            width=width,
            top=above + 0.9 * height,
            length=whole - 0.9 * height,
            skin=skin,
            generator=generator,
        )
    elif generator.random() < 0.5:
        foot, tone = max(4.0, 0.2 * width), _tone(generator, 60)
        for side in (-1, 1):
            middle, bottom = centre + side * 0.3 * width, above + height
            draw.ellipse((middle - foot, bottom - 4, middle + foot, bottom + 4), fill=tone)
    paste(image, garment, top=round(above), centre=centre)
    top = lender.find(LABELS_OF_GROUP[UPPER_PART])
    if top is not None:
        upper = resize(top, height=round(0.75 * whole), width=round(generator.uniform(1.1, 1.7) * width))
        paste(image, upper[-(round(above) + round(0.08 * whole)) :], top=0, centre=centre)
    if generator.random() < 0.4:
        for side in (-1, 1):
            _draw_arm(
                draw,
                shoulder=(centre + side * generator.uniform(0.5, 0.75) * width, 0.0),
                side=side,
                width=width,
                length=above + generator.uniform(0.0, 0.25) * whole,
                tone=skin,
                generator=generator,
            )
    return np.asarray(image)


def _wear_footwear(garment: Picture, lender: Lender, generator: Generator) -> Picture:
    height, width = garment.shape
    if generator.random() < 0.7:
        # A pair: the other shoe stands behind this one or beside it.
        scale = generator.uniform(0.8, 1.0)
        other = resize(garment, height=round(height * scale), width=round(width * scale))
        if generator.random() < 0.25:
            other = other[:, ::-1]
        shift_rows, shift_columns = generator.uniform(-0.6, 0.3) * height, generator.uniform(-0.5, 0.5) * width
        image, _ = new_canvas(height=3 * height, width=3 * width)
        paste(image, other, top=round(height + shift_rows), centre=1.5 * width + shift_columns)
        paste(image, garment, top=height, centre=1.5 * width)
        return np.asarray(image)
    leg = round(generator.uniform(0.2, 0.8) * width)
    image, draw = new_canvas(height=leg + height, width=width)
    upper = garment[: max(1, height // 3)]
    side = 0.78 if upper[:, width // 2 :].sum() > upper[:, : width // 2].sum() else 0.22
    half = generator.uniform(0.08, 0.16) * width
    draw.rectangle(
        (side * width - half, 0, side * width + half, leg + height // 2), fill=int(generator.integers(30, 230))
    )
    paste(image, garment, top=leg, centre=width / 2)
    return np.asarray(image)


def _wear_bag(garment: Picture, lender: Lender, generator: Generator) -> Picture:
    """A bag with a long strap or a tall handle, of which Fashion-MNIST shows few."""
    height, width = garment.shape
    above = round(generator.uniform(0.2, 0.9) * max(height, width // 2))
    image, draw = new_canvas(height=above + height, width=width)
    tone, thickness = _tone(generator, 60), int(generator.integers(2, 5))
    left, right = generator.uniform(0.0, 0.35) * width, generator.uniform(0.65, 1.0) * width
    draw.arc((left, 0, right, 2 * above), 180, 360, fill=tone, width=thickness)
    paste(image, garment, top=above, centre=width / 2)
    return np.asarray(image)


_WORN: Final[Mapping[str, Callable[[Picture, Lender, Generator], Picture]]] = MappingProxyType(
    {
        UPPER_PART: _wear_upper,
        BOTTOM_PART: _wear_bottom,
        ONE_PIECE: _wear_one_piece,
        FOOTWEAR: _wear_footwear,
        BAGS: _wear_bag,
    }
)

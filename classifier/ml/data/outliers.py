"""Pictures that show no clothing, in canonical form, drawn from simple shapes: of them nothing is to be sure."""

from collections.abc import Callable
from typing import Final

import numpy as np
from numpy.typing import NDArray
from PIL import ImageDraw, ImageFont

from classifier.ml.data.canvas import Generator, frame, new_canvas, stretch
from classifier.ml.types import Picture

#: Side in pixels of what is drawn with lines, before it is reduced to the canonical form.
_SIDE: Final = 84
_LETTERS: Final = np.array(list("ABCDEFGHIKLMNOPRSTUVXZ0123456789%&"))


def draw_outlier(picture: Picture, *, others: Picture, generator: Generator) -> Picture:
    """Something uint8[S, S] that is no clothing: blank, noise, a gradient, shapes, scraps, swatches, charts, goods.

    ``picture`` lends its pixels to the scraps, so that texture alone is not taken for a garment; it and ``others``
    uint8[N, S, S] stand in collages.
    """
    size = picture.shape[0]
    kind = int(generator.integers(6 + len(_DRAWN)))
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
    elif kind == 5:
        value = _scatter(picture, generator=generator)
    else:
        return stretch(frame(_DRAWN[kind - 6](picture, others, generator), size=size))
    return np.asarray(np.clip(value, 0, 255), dtype=np.uint8)


def _draw_shapes(size: int, *, generator: Generator) -> NDArray[np.float64]:
    value = np.zeros((size, size))
    rows, columns = np.mgrid[0:size, 0:size]
    for _ in range(int(generator.integers(1, 5))):
        row, column = generator.uniform(0, size, 2)
        radius_rows, radius_columns = generator.uniform(1, size / 2, 2)
        power = generator.choice([1.0, 2.0, 8.0])
        inside = np.abs((rows - row) / radius_rows) ** power + np.abs((columns - column) / radius_columns) ** power < 1
        value[inside] = generator.uniform(40, 255)
    return value


def _scatter(picture: Picture, *, generator: Generator) -> NDArray[np.float64]:
    """The sixteen tiles of a picture in another order."""
    size = picture.shape[0]
    tile = size // 4
    side = 4 * tile
    scraps = picture[:side, :side].reshape(4, tile, 4, tile).swapaxes(1, 2).reshape(16, tile, tile)
    mixed = scraps[generator.permutation(16)].reshape(4, 4, tile, tile)
    value = np.zeros((size, size))
    value[:side, :side] = mixed.swapaxes(1, 2).reshape(side, side)
    return value


def _tone(generator: Generator) -> int:
    return int(generator.integers(50, 256))


def _draw_swatch(picture: Picture, others: Picture, generator: Generator) -> Picture:
    """A plain or woven piece of cloth: a rectangle or a disc."""
    height, width = (int(value) for value in generator.integers(_SIDE // 3, _SIDE, 2))
    rows, columns = np.mgrid[0:height, 0:width]
    value = np.full((height, width), float(_tone(generator)))
    if generator.random() < 0.6:
        step, other = generator.uniform(3, 12, 2), generator.uniform(0.3, 1.0)
        stripes = (rows / step[0] % 1 < 0.5) ^ ((columns / step[1] % 1 < 0.5) & (generator.random() < 0.6))
        value = np.where(stripes, value, other * value)
    if generator.random() < 0.3:
        value[np.hypot(2 * rows / height - 1, 2 * columns / width - 1) > 1] = 0
    return value.astype(np.uint8)


def _draw_chart(picture: Picture, others: Picture, generator: Generator) -> Picture:
    """A table of sizes: lines of dashes, with rules between them or a head of another tone."""
    image, draw = new_canvas(height=_SIDE, width=int(generator.integers(_SIDE // 2, _SIDE + 1)))
    rows, columns, ink = int(generator.integers(3, 10)), int(generator.integers(2, 7)), _tone(generator)
    high, wide = image.height / rows, image.width / columns
    ruled, headed = generator.random() < 0.6, generator.random() < 0.5
    for row in range(rows):
        if headed and row == 0:
            draw.rectangle((0, 0, image.width, high), fill=_tone(generator) // 2)
        for column in range(columns):
            left, top = column * wide + 2, row * high + 0.35 * high
            if generator.random() < 0.9:
                draw.rectangle((left, top, left + generator.uniform(0.3, 0.85) * wide, top + 0.3 * high), fill=ink)
        if ruled:
            draw.line((0, row * high, image.width, row * high), fill=ink)
    if ruled:
        draw.rectangle((0, 0, image.width - 1, image.height - 1), outline=ink)
    return np.asarray(image)


def _draw_logo(picture: Picture, others: Picture, generator: Generator) -> Picture:
    """Some letters, alone or on a plate."""
    image, draw = new_canvas(height=_SIDE, width=2 * _SIDE)
    font = ImageFont.load_default(float(generator.integers(18, 56)))
    text = "".join(generator.choice(_LETTERS, int(generator.integers(1, 7))))
    box = draw.textbbox((_SIDE, _SIDE / 2), text, font=font, anchor="mm")
    ink = _tone(generator)
    if generator.random() < 0.5:
        plate = (box[0] - 6, box[1] - 6, box[2] + 6, box[3] + 6)
        if generator.random() < 0.4:
            draw.ellipse(plate, fill=_tone(generator))
        else:
            draw.rounded_rectangle(plate, radius=float(generator.choice([0, 8])), fill=_tone(generator))
        ink = ink if generator.random() < 0.5 else 0
    draw.text((_SIDE, _SIDE / 2), text, fill=ink, font=font, anchor="mm")
    return np.asarray(image)


def _draw_collage(picture: Picture, others: Picture, generator: Generator) -> Picture:
    """Several garments of any kinds side by side, of one size."""
    down, across = ((2, 2), (1, 3), (3, 1), (2, 3), (3, 3))[int(generator.integers(5))]
    chosen = [picture, *others[generator.integers(len(others), size=down * across - 1)]]
    rows = [np.concatenate(chosen[start : start + across], axis=1) for start in range(0, len(chosen), across)]
    return np.concatenate(rows)


def _draw_bottle(picture: Picture, others: Picture, generator: Generator) -> Picture:
    """One or two bottles, tubes, sticks or boxes, standing or lying."""
    image, draw = new_canvas(height=_SIDE, width=_SIDE)
    count = 2 if generator.random() < 0.25 else 1
    for number in range(count):
        half = generator.uniform(0.03, 0.3) * _SIDE / count
        middle = _SIDE * (number + 0.5) / count
        top = 0.0 if number == 0 else generator.uniform(0, 0.4) * _SIDE
        neck = top + generator.uniform(0.05, 0.4) * (_SIDE - top)
        draw.rounded_rectangle((middle - half, neck, middle + half, _SIDE), radius=half / 3, fill=_tone(generator))
        cap = generator.uniform(0.3, 1.0) * half
        draw.rectangle((middle - cap, top, middle + cap, neck), fill=_tone(generator))
        if generator.random() < 0.6:
            label = neck + generator.uniform(0.2, 0.5) * (_SIDE - neck)
            draw.rectangle((middle - 0.8 * half, label, middle + 0.8 * half, label + 12), fill=_tone(generator))
    if generator.random() < 0.3:
        image = image.rotate(generator.choice([90, generator.uniform(0, 360)]), expand=True)
    return np.asarray(image)


def _draw_ring(picture: Picture, others: Picture, generator: Generator) -> Picture:
    """A ring, bracelet, chain or rolled belt; or a ball or a compact."""
    high = round(_SIDE * generator.uniform(0.3, 1.0))
    image, draw = new_canvas(height=high + 1, width=_SIDE + 1)
    box, thick = (0, 0, _SIDE, high), int(generator.integers(3, 16))
    kind = generator.random()
    if kind < 0.4:
        draw.ellipse(box, outline=_tone(generator), width=thick)
    elif kind < 0.6:
        _draw_beads(draw, box=box, radius=thick / 2, tone=_tone(generator))
    else:
        draw.ellipse(box, fill=_tone(generator))
        for _ in range(int(generator.integers(0, 4))):
            left, top = generator.uniform(-0.4, 0.6) * _SIDE, generator.uniform(-0.4, 0.6) * high
            draw.arc((left, top, left + _SIDE, top + high), 0, 360, fill=_tone(generator) // 3, width=3)
    return np.asarray(image)


def _draw_beads(draw: ImageDraw.ImageDraw, *, box: tuple[int, int, int, int], radius: float, tone: int) -> None:
    for angle in np.arange(0, 2 * np.pi, 2.5 * radius / (box[2] / 2)):
        column, row = box[2] / 2 * (1 + 0.9 * np.cos(angle)), box[3] / 2 * (1 + 0.9 * np.sin(angle))
        draw.ellipse((column - radius, row - radius, column + radius, row + radius), fill=tone)


_DRAWN: Final[tuple[Callable[[Picture, Picture, Generator], Picture], ...]] = (
    _draw_swatch,
    _draw_chart,
    _draw_logo,
    _draw_collage,
    _draw_bottle,
    _draw_ring,
)

"""Things of the demo that are none of the five groups, drawn as the data set shows its garments."""

import random
from collections.abc import Callable, Mapping
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

_SIDE: Final = 28
#: Drawn so many times as large, then made small, which keeps edges smooth.
_SCALE: Final = 10


def draw_thing(kind: str, *, stream: random.Random) -> NDArray[np.uint8]:
    """Return a picture of a thing out of `THINGS`, uint8[28, 28], bright on black; no two are quite alike."""
    canvas = Image.new("L", (_SIDE * _SCALE, _SIDE * _SCALE), 0)
    tone = stream.randint(120, 230)
    _DRAWN[kind](ImageDraw.Draw(canvas), tone, stream.randint(-8, 8))
    return np.asarray(canvas.resize((_SIDE, _SIDE), Image.Resampling.LANCZOS))


def _draw_belt(draw: ImageDraw.ImageDraw, tone: int, more: int) -> None:
    draw.ellipse((20, 70 + more, 260, 210 + more), outline=tone, width=26)
    draw.rectangle((110, 180 + more, 160, 226 + more), outline=255, width=9)


def _draw_watch(draw: ImageDraw.ImageDraw, tone: int, more: int) -> None:
    draw.rectangle((112, 15, 168, 265), fill=tone)
    draw.ellipse((80 - more, 85, 200 + more, 195), fill=255, outline=tone // 2, width=12)
    draw.line((140, 140, 140, 105), fill=tone // 2, width=7)
    draw.line((140, 140, 165, 150), fill=tone // 2, width=7)


def _draw_umbrella(draw: ImageDraw.ImageDraw, tone: int, more: int) -> None:
    draw.pieslice((15, 35 + more, 265, 265 + more), 180, 360, fill=tone)
    draw.line((140, 30, 140, 240), fill=255, width=9)
    draw.arc((105, 215, 140, 260), 0, 180, fill=255, width=9)


def _draw_glasses(draw: ImageDraw.ImageDraw, tone: int, more: int) -> None:
    draw.ellipse((15, 105, 125, 185 + more), fill=tone, outline=255, width=9)
    draw.ellipse((155, 105, 265, 185 + more), fill=tone, outline=255, width=9)
    draw.arc((115, 115, 165, 160), 180, 360, fill=255, width=9)


def _draw_tie(draw: ImageDraw.ImageDraw, tone: int, more: int) -> None:
    draw.polygon(((115, 15), (165, 15), (155, 60), (125, 60)), fill=255)
    draw.polygon(((126, 60), (154, 60), (180 + more, 225), (140, 268), (100 - more, 225)), fill=tone)


def _draw_ring(draw: ImageDraw.ImageDraw, tone: int, more: int) -> None:
    draw.ellipse((60, 90, 220, 250), outline=tone, width=20 + more)
    draw.polygon(((140, 20), (185, 60), (140, 105), (95, 60)), fill=255)


_DRAWN: Final[Mapping[str, Callable[[ImageDraw.ImageDraw, int, int], Any]]] = {
    "belt": _draw_belt,
    "watch": _draw_watch,
    "umbrella": _draw_umbrella,
    "glasses": _draw_glasses,
    "tie": _draw_tie,
    "ring": _draw_ring,
}
#: What can be drawn.
THINGS: Final = tuple(_DRAWN)

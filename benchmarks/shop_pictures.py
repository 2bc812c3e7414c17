"""JPEG files as a shop's server has them, drawn from the demo catalogue's sample: any size, no two equal."""

import io
from collections.abc import Callable
from itertools import islice
from typing import Final

import numpy as np
from PIL import Image, ImageOps

from catalog.demo.rendering import render_picture
from catalog.demo.sample import read_pictures

Size = tuple[int, int]

#: Pictures drawn for each size; more of them are told apart by a comment in the file.
DRAWN: Final = 48
#: 90 and this much grain in what is not background make files of about 170 KB at 1200x1600, as shops have them.
_QUALITY: Final = 90
_GRAIN: Final = 9.0
_BACKGROUND: Final = 245


def parse_size(text: str) -> Size:
    """Return (width, height) of a text such as `60x80`; raises ValueError for another text."""
    width, separator, height = text.partition("x")
    if not separator or not width.isdecimal() or not height.isdecimal() or 0 in (int(width), int(height)):
        raise ValueError(f"expected a size such as 60x80, received {text!r}")
    return int(width), int(height)


def draw_pictures(size: Size, *, count: int = DRAWN) -> list[bytes]:
    """Return `count` different JPEG files of this size (width, height)."""
    sample = islice(read_pictures().items(), count)
    stream = np.random.default_rng(0)
    return [_draw(render_picture(pixels, name=f"{name}.png"), size=size, stream=stream) for name, pixels in sample]


def number_picture(picture: bytes, *, number: int) -> bytes:
    """Return the JPEG file with a comment that holds the number, so that its bytes are like no other's."""
    comment = f"picture {number}".encode()
    segment = b"\xff\xfe" + (len(comment) + 2).to_bytes(2, "big") + comment
    return picture[:2] + segment + picture[2:]


def build_shop(size: Size, *, drawn: int = DRAWN) -> Callable[[int], bytes]:
    """Return a function that gives the file of each number, from `drawn` pictures of this size."""
    pictures = draw_pictures(size, count=drawn)
    return lambda number: number_picture(pictures[number % len(pictures)], number=number)


def _draw(file: bytes, *, size: Size, stream: np.random.Generator) -> bytes:
    with Image.open(io.BytesIO(file)) as image:
        fitted = ImageOps.pad(image.convert("RGB"), size, Image.Resampling.BICUBIC, color="white")
    pixels = np.asarray(fitted).astype(np.float32)
    grain = stream.normal(0.0, _GRAIN, (size[1], size[0], 1)).astype(np.float32)
    pixels += grain * (pixels.min(axis=2, keepdims=True) < _BACKGROUND)
    output = io.BytesIO()
    Image.fromarray(pixels.clip(0, 255).astype(np.uint8)).save(output, "JPEG", quality=_QUALITY)
    return output.getvalue()

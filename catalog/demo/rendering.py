"""The demo's small pictures as a shop shows them: one object on white, coloured, with some air around it."""

import hashlib
import io
import random
from typing import Any, Final

import numpy as np
from django.core.files.base import ContentFile
from django.core.files.storage import Storage, default_storage
from numpy.typing import NDArray
from PIL import Image, ImageFilter

from catalog.demo.sample import CATALOGUE_FILE, PICTURES_FILE, SAMPLE_FOLDER, read_pictures

#: Width and height of a shop's picture in pixels.
CANVAS: Final = (320, 400)
#: The object's longer side comes out a little smaller: it is enlarged with a rim of white around it.
_SIDES: Final = (272, 316)
_RIM: Final = 2
_OFFSET: Final = 6
#: What shops dye their goods with; a tint takes the hue and not the lightness of one.
_DYES: Final = (
    (31, 58, 110),
    (60, 110, 165),
    (47, 115, 124),
    (62, 107, 79),
    (119, 115, 58),
    (176, 133, 79),
    (169, 81, 47),
    (125, 34, 54),
    (196, 111, 130),
    (109, 74, 122),
    (89, 99, 110),
    (128, 128, 128),
)
_STRENGTH: Final = (0.55, 0.95)
_ENCODINGS: Final[dict[str, dict[str, Any]]] = {
    "png": {"format": "PNG", "compress_level": 1},
    "webp": {"format": "WEBP", "quality": 90, "method": 0},
    "jpg": {"format": "JPEG", "quality": 90},
}
# ITU-R BT.601, by which a picture is made grey again: a tint that sums to nothing under them keeps every lightness.
_LIGHTNESS: Final = np.array([0.299, 0.587, 0.114])


def render_demo_pictures(storage: Storage | None = None) -> int:
    """Render the sample into the storage, below `demo/`, and return how many pictures were written.

    What is there already is kept, unless it is of another sample or a run before this one did not come to its end.
    """
    storage = default_storage if storage is None else storage
    pictures = read_pictures()
    marker = f"demo/complete-{_digest_sample()}"
    is_complete = storage.exists(marker)
    written = 0
    for name, picture in pictures.items():
        if storage.exists(name):
            if is_complete:
                continue
            storage.delete(name)
        storage.save(name, ContentFile(render_picture(picture, name=name)))
        written += 1
    if not is_complete:
        storage.save(marker, ContentFile(b""))
    return written


def render_picture(picture: NDArray[np.uint8], *, name: str) -> bytes:
    """Return the picture uint8[28, 28], bright on black, as a file of the kind that the name's suffix says.

    The object stands dark on white, as lightly or darkly as it was. Frame and tint follow from the name: the pictures
    of one product share a tint.
    """
    product, _, _ = name.rpartition("-")
    place = random.Random(name)  # noqa: S311 - nothing secret
    side = place.randint(*_SIDES)
    left = (CANVAS[0] - side) // 2 + place.randint(-_OFFSET, _OFFSET)
    top = (CANVAS[1] - side) // 2 + place.randint(-_OFFSET, _OFFSET)
    canvas = Image.new("L", CANVAS, 255)
    canvas.paste(_enlarge(Image.fromarray(np.pad(255 - picture, _RIM, constant_values=255)), side=side), (left, top))
    image = _tint(canvas, stream=random.Random(product))  # noqa: S311 - nothing secret
    output = io.BytesIO()
    image.save(output, **_ENCODINGS[name.rpartition(".")[2]])
    return output.getvalue()


def _enlarge(picture: Image.Image, *, side: int) -> Image.Image:
    """Return the picture enlarged by doublings with a little sharpening each, which keeps edges that one step blurs."""
    while picture.width < side / 2:
        picture = picture.resize((2 * picture.width, 2 * picture.height), Image.Resampling.BICUBIC)
        picture = picture.filter(ImageFilter.UnsharpMask(radius=1.2, percent=60, threshold=0))
    return picture.resize((side, side), Image.Resampling.BICUBIC)


def _tint(grey: Image.Image, *, stream: random.Random) -> Image.Image:
    """Return a grey picture dyed: every lightness stays what it is, black and white keep their colour."""
    dye = np.array(stream.choice(_DYES), dtype=np.float64)
    direction = (dye - dye @ _LIGHTNESS) * stream.uniform(*_STRENGTH)
    lightness = np.arange(256.0)
    strength = 4.0 * (lightness / 255.0) * (1.0 - lightness / 255.0)
    # Near black and white there is no room for the whole tint: all three channels then move by what there is room for.
    room = np.minimum(lightness, 255.0 - lightness) / max(np.abs(direction).max(), 1.0)
    colours = lightness[:, None] + np.minimum(strength, room)[:, None] * direction
    table = colours.round().astype(np.uint8)
    return Image.merge("RGB", [grey.point(table[:, channel].tolist()) for channel in range(3)])


def _digest_sample() -> str:
    content = (SAMPLE_FOLDER / PICTURES_FILE).read_bytes() + (SAMPLE_FOLDER / CATALOGUE_FILE).read_bytes()
    return hashlib.sha256(content).hexdigest()[:16]

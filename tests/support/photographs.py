"""Photographs for tests of near-duplicates: drawn at random, altered as shops and hosts alter them, and stored."""

from io import BytesIO

import numpy as np
from PIL import Image as PillowImage

from catalog.models import Image
from catalog.pictures.storage import build_stored_picture, record_stored_pictures
from tests.support.factories import create_image

Generator = np.random.Generator


def draw_photograph(choose: Generator) -> PillowImage.Image:
    """Return a picture of 240 x 320 soft patches of colour, like no other."""
    patches = choose.integers(40, 216, (6, 5, 3), dtype=np.uint8)
    return PillowImage.fromarray(patches).resize((240, 320), PillowImage.Resampling.BICUBIC)


def alter(picture: PillowImage.Image, choose: Generator) -> PillowImage.Image:
    """Return it cropped by up to 5 % a side, with 60 pixels or more on its longer side, mirrored or not, as a JPEG.

    Half of the crops are of the furthest kind: nothing at one side and 5 % at the other.
    """
    width, height = picture.size
    left, top, right, bottom = choose.uniform(0, 0.05, 4) if choose.random() < 0.5 else choose.choice([0, 0.05], 4)
    box = (round(left * width), round(top * height), width - round(right * width), height - round(bottom * height))
    picture = picture.crop(box)
    longer = max(picture.size)
    scale = choose.integers(60, max(longer, 60), endpoint=True) / longer
    how = PillowImage.Resampling(choose.choice([2, 3, 1, 4, 5]))
    picture = picture.resize((max(1, round(picture.width * scale)), max(1, round(picture.height * scale))), how)
    if choose.random() < 0.5:
        picture = picture.transpose(PillowImage.Transpose.FLIP_LEFT_RIGHT)
    return PillowImage.open(BytesIO(encode(picture, quality=int(choose.choice([40, 60, 85])))))


def encode(picture: PillowImage.Image, *, quality: int = 90) -> bytes:
    """Return the picture as a JPEG file."""
    content = BytesIO()
    picture.convert("RGB").save(content, "JPEG", quality=quality)
    return content.getvalue()


def store(picture: PillowImage.Image, *, image: Image | None = None) -> Image:
    """Return an image, a new one unless given, of which we hold this picture."""
    image = image or create_image()
    record_stored_pictures([build_stored_picture(image, encode(picture))])
    return Image.objects.get(pk=image.pk)

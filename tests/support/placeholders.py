"""A picture that many products show."""

import itertools
from collections.abc import Sequence
from io import BytesIO

from PIL import Image as PillowImage

from catalog.models import Image, Product
from tests.support.factories import create_products
from tests.support.fakes import create_stored_image

#: Twenty titles, no two of which have a word in common.
UNLIKE = [f"robe{number} bleue{number}" for number in range(20)]


def create_same_pictures(number: int) -> list[Image]:
    """Create images at so many addresses with the same bytes, which show the fake classifier a bag."""
    buffer = BytesIO()
    PillowImage.new("RGB", (32, 32), (170, 0, 0)).save(buffer, "PNG")
    return [create_stored_image(buffer.getvalue()) for _ in range(number)]


def show_placeholder(titles: Sequence[str] = UNLIKE, *, addresses: int = 1) -> list[Product]:
    """Create a product for each title; all show the same bytes first, at so many addresses in turn."""
    images = create_same_pictures(addresses)
    return create_products(titles, images=itertools.cycle(images))

"""A picture that many products show."""

from collections.abc import Sequence
from io import BytesIO

from django.db import transaction
from PIL import Image as PillowImage

from catalog.labels import refresh_labels
from catalog.models import Image, Product, ProductImages
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
    products = Product.objects.bulk_create(Product(title=title) for title in titles)
    ProductImages.objects.bulk_create(
        ProductImages(product=product, image=images[n % addresses], image_index=0) for n, product in enumerate(products)
    )
    with transaction.atomic():
        refresh_labels([product.pk for product in products])
    return products

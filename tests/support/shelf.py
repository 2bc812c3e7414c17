"""A product that shows every image of a test, so that runs over the whole catalogue take it."""

from collections.abc import Iterator
from typing import Any

import pytest
from django.db.models.signals import post_save


@pytest.fixture(autouse=True)
def shelf() -> Iterator[None]:
    """Place each new image on the shelf, never first; for every test of a module or folder that imports this."""
    # A folder's conftest may be read before Django is set up.
    from catalog.models import Image, Product, ProductImages

    def place(instance: Image, created: bool, **_: Any) -> None:
        if created:
            product, _ = Product.objects.get_or_create(title="Shelf")
            ProductImages.objects.create(product=product, image=instance, image_index=instance.pk)

    post_save.connect(place, sender=Image)
    yield
    post_save.disconnect(place, sender=Image)

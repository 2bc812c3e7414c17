"""Products with pictures in which a base looked."""

import hashlib
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from django.utils import timezone

from catalog.models import Image, Product, ProductImages, StoredPicture
from classifier.models import Base, PictureFeatures, SplitAssignment, SplitPicture


class Seen(NamedTuple):
    """A picture, named by its number, of a product with this title: the class that the base saw in it, and its part."""

    number: int
    shows: int
    part: str = ""
    title: str = "Shirt"

    @property
    def digest(self) -> bytes:
        """The SHA-256 of its bytes."""
        return hashlib.sha256(str(self.number).encode()).digest()


def create_seen(base: Base, number: int, *, shows: int, part: str = "", title: str = "Shirt") -> Image:
    """Create a product with a picture in which the base saw something of this class, in a part of the split if any."""
    return create_all_seen(base, [Seen(number, shows, part, title)])[0]


def create_all_seen(base: Base, pictures: Sequence[Seen]) -> list[Image]:
    """Create such products at a few statements for all of them; return their images."""
    images = Image.objects.bulk_create(Image(url=f"https://shop.example/{one.number}.jpg") for one in pictures)
    products = Product.objects.bulk_create(Product(title=one.title) for one in pictures)
    ProductImages.objects.bulk_create(
        ProductImages(product=product, image=image, image_index=0)
        for product, image in zip(products, images, strict=True)
    )
    StoredPicture.objects.bulk_create(
        StoredPicture(
            image=image, url=image.url, sha256=one.digest.hex(), width=60, height=80, fetched_at=timezone.now()
        )
        for one, image in zip(pictures, images, strict=True)
    )
    PictureFeatures.objects.bulk_create(
        PictureFeatures(
            base=base,
            sha256=one.digest,
            features=draw_features(one),
            logits=bytes(20),
            blank=False,
            canonical=False,
            views=1,
        )
        for one in pictures
    )
    in_parts = [one for one in pictures if one.part]
    families = SplitAssignment.objects.bulk_create(SplitAssignment(part=one.part) for one in in_parts)
    SplitPicture.objects.bulk_create(
        SplitPicture(sha256=one.digest, assignment=family, fingerprint=bytes(24 * 24 * 3))
        for one, family in zip(in_parts, families, strict=True)
    )
    return images


def draw_features(one: Seen) -> bytes:
    """Return what the base saw: mostly its class."""
    vector = np.eye(64)[one.shows] + 0.1 * np.random.default_rng(one.number).normal(size=64)
    return (vector / np.linalg.norm(vector)).astype("<f2").tobytes()

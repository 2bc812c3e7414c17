"""Products with pictures in which a base looked."""

import hashlib

import numpy as np
from django.utils import timezone

from catalog.models import Image, Product, ProductImages, StoredPicture
from classifier.models import Base, PictureFeatures, SplitAssignment, SplitPicture


def create_seen(base: Base, number: int, *, shows: int, part: str = "", title: str = "Shirt") -> Image:
    """Create a product with a picture in which the base saw something of this class, in a part of the split if any."""
    digest = hashlib.sha256(str(number).encode()).digest()
    image = Image.objects.create(url=f"https://shop.example/{number}.jpg")
    product = Product.objects.create(title=title)
    ProductImages.objects.create(product=product, image=image, image_index=0)
    StoredPicture.objects.create(
        image=image, url=image.url, sha256=digest.hex(), width=60, height=80, fetched_at=timezone.now()
    )
    vector = np.eye(64)[shows] + 0.1 * np.random.default_rng(number).normal(size=64)
    PictureFeatures.objects.create(
        base=base,
        sha256=digest,
        features=(vector / np.linalg.norm(vector)).astype("<f2").tobytes(),
        logits=bytes(20),
        blank=False,
        canonical=False,
        views=1,
    )
    if part:
        family = SplitAssignment.objects.create(part=part)
        SplitPicture.objects.create(sha256=digest, assignment=family, fingerprint=bytes(24 * 24 * 3))
    return image

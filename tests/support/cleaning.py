"""A catalogue to clean: pictures as a worker stored them, products that are gone, and what a cleaning did."""

import hashlib
import os
from dataclasses import asdict
from datetime import timedelta
from pathlib import Path
from typing import Any

from django.conf import settings
from django.db.models import F

from catalog.models import Image, Product, StoredPicture, UnshownImage
from catalog.pictures.storage import build_stored_picture, record_stored_pictures, thumbnail_name
from classifier.cleaning.rules import Figures, Terms
from classifier.cleaning.services import clean_catalog
from tests.support.factories import create_image, create_product
from tests.support.make_images import png

DAYS = 30
NOTHING = asdict(Figures())


def store_picture(image: Image, data: bytes) -> StoredPicture:
    """Hold these bytes of the image, as a worker does."""
    row = build_stored_picture(image, data)
    record_stored_pictures([row])
    return row


def create_shown(data: bytes | None = None) -> Image:
    """Create an image at a URL with its picture and a product that shows it; other bytes than before, unless given."""
    image = create_image()
    store_picture(image, data or png() + image.url.encode())
    create_product(images=[image])
    return image


def take_products_away(*images: Image) -> None:
    """Delete the products that show these images, all of them without any."""
    products = Product.objects.filter(product_images__image__in=images) if images else Product.objects.all()
    Product.objects.filter(pk__in=list(products.values_list("pk", flat=True))).delete()


def let_pass(days: float) -> None:
    """Let the marks and the files be older by so many days."""
    UnshownImage.objects.update(since=F("since") - timedelta(days=days))
    for path in list_paths():
        os.utime(path, (path.stat().st_mtime - 86_400 * days,) * 2)


def clean(*, days: float = DAYS, dry_run: bool = False) -> dict[str, Any]:
    """Clean, and return those figures that are not 0."""
    figures = Figures()
    for _ in clean_catalog(Terms(timedelta(days=days), dry_run), figures=figures):
        pass
    return {name: number for name, number in asdict(figures).items() if number}


def clean_twice(*, days: float = DAYS) -> dict[str, Any]:
    """Clean after a dry run, which must have written nothing and said the same; return the figures that are not 0."""
    before = list_paths(), list(Image.objects.order_by("pk")), UnshownImage.objects.count()
    expected = clean(days=days, dry_run=True)
    assert (list_paths(), list(Image.objects.order_by("pk")), UnshownImage.objects.count()) == before
    assert clean(days=days) == expected
    return expected


def list_paths() -> list[Path]:
    """Return the files of the media storage."""
    return sorted(path for path in Path(settings.MEDIA_ROOT).rglob("*") if path.is_file())


def list_names_of(*pictures: StoredPicture) -> list[Path]:
    """Return the files that these pictures have."""
    names = {name for picture in pictures for name in (picture.storage_name, thumbnail_name(picture.sha256))}
    return sorted(Path(settings.MEDIA_ROOT) / name for name in names)


def hash_of(data: bytes) -> str:
    """Return the SHA-256 of the bytes."""
    return hashlib.sha256(data).hexdigest()

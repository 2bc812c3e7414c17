"""Saved rows for tests: new ones, with a value of their own wherever a value has to be unique."""

import itertools
from collections.abc import Iterable, Mapping, Sequence

from django.db import transaction

from catalog.labels import refresh_labels
from catalog.models import Image, Product, ProductDescription, ProductImages

_numbers = itertools.count(1)


def create_image(url: str | None = None) -> Image:
    """Create an image; without `url` it is a new http URL that answers nothing."""
    return Image.objects.create(url=url if url is not None else f"https://shop.example/{next(_numbers)}.jpg")


def create_product(
    title: str | None = None,
    *,
    id: int | None = None,
    images: Sequence[Image | str] = (),
    descriptions: Mapping[str, tuple[str | None, str | None]] | None = None,
) -> Product:
    """Create a product with its pictures and texts.

    `images` are placed at index 0, 1, 2, ...: rows, or URLs whose row is created when it is missing. `descriptions`
    gives (original text, translated text) for a country code.
    """
    product = Product.objects.create(id=id, title=title if title is not None else f"Product {next(_numbers)}")
    for index, image in enumerate(images):
        row = _find_or_create_image(image) if isinstance(image, str) else image
        ProductImages.objects.create(product=product, image=row, image_index=index)
    for country_code, (original_text, translated_text) in (descriptions or {}).items():
        create_description(
            product, country_code=country_code, original_text=original_text, translated_text=translated_text
        )
    with transaction.atomic():
        refresh_labels([product.pk], created={product.pk})
    return product


def create_products(titles: Iterable[str], *, images: Iterable[Image] = ()) -> list[Product]:
    """Create products without texts, each with the picture that has its place, at a few statements for all of them."""
    products = Product.objects.bulk_create(Product(title=title) for title in titles)
    ProductImages.objects.bulk_create(
        ProductImages(product=product, image=image, image_index=0)
        for product, image in zip(products, images, strict=False)
    )
    with transaction.atomic():
        ids = [product.pk for product in products]
        refresh_labels(ids, created=set(ids))
    return products


def create_product_image(product: Product, *, image: Image | None = None, image_index: int = 0) -> ProductImages:
    """Place an image (a new one unless given) at an index of a product."""
    place = ProductImages.objects.create(product=product, image=image or create_image(), image_index=image_index)
    _refresh_label(product)
    return place


def create_description(
    product: Product,
    *,
    country_code: str = "us",
    original_text: str | None = "original",
    translated_text: str | None = "translated",
) -> ProductDescription:
    """Give a product a text in one country; a country may be given twice."""
    return ProductDescription.objects.create(
        product=product,
        country_code=country_code,
        original_text=original_text,
        translated_text=translated_text,
    )


def _find_or_create_image(url: str) -> Image:
    # Not by get_or_create, which has a savepoint for others who might do the same.
    return Image.objects.filter(url=url).first() or create_image(url)


def _refresh_label(product: Product) -> None:
    """Bring the product's label up to date, as every write of the catalogue does."""
    with transaction.atomic():
        refresh_labels([product.pk])

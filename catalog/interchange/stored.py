"""Reads that join several of the catalogue's tables."""

from collections.abc import Collection
from dataclasses import dataclass, field

from catalog.models import Product, ProductDescription, ProductImages
from catalog.values import find_country
from config.db.arrays import AnyOf


@dataclass(slots=True)
class StoredDescription:
    """The text of a product in one country as the database holds it."""

    id: int
    country_code: str
    original_text: str | None
    translated_text: str | None


@dataclass(slots=True)
class StoredProduct:
    """A product as the database holds it, which may be what no import would write.

    `images` are the URLs by ImageIndex; `has_gaps` says that their indexes are not 0, 1, 2, ...  `descriptions` holds
    the row with the lowest id for each country: its code if the row's spelling means one, else that in lower case.
    `repeated` holds the other rows.
    """

    id: int
    title: str
    images: list[str] = field(default_factory=list)
    has_gaps: bool = False
    descriptions: dict[str, StoredDescription] = field(default_factory=dict)
    repeated: list[StoredDescription] = field(default_factory=list)


def find_stored_products(ids: Collection[int]) -> dict[int, StoredProduct]:
    """Return those of the products that exist, by id, with images and descriptions: three queries for any number."""
    products = {
        id: StoredProduct(id=id, title=title)
        for id, title in Product.objects.filter(AnyOf("pk", ids)).values_list("pk", "title")
    }
    if not products:
        return products
    images = ProductImages.objects.filter(AnyOf("product", products)).order_by("product_id", "image_index")
    for product_id, image_index, url in images.values_list("product_id", "image_index", "image__url"):
        product = products[product_id]
        product.has_gaps = product.has_gaps or image_index != len(product.images)
        product.images.append(url)
    descriptions = ProductDescription.objects.filter(AnyOf("product", products)).order_by("pk")
    columns = ("product_id", "pk", "country_code", "original_text", "translated_text")
    for product_id, *values in descriptions.values_list(*columns):
        product, description = products[product_id], StoredDescription(*values)
        country = find_country(description.country_code) or description.country_code.lower()
        if product.descriptions.setdefault(country, description) is not description:
            product.repeated.append(description)
    return products


def find_similar_product_ids(contents: Collection[tuple[str, tuple[str, ...]]]) -> set[int]:
    """Return the ids of every product that may be one of the (title, image URLs), and perhaps of a few that are not.

    Whoever shares title and one picture is a candidate, and whoever shares the title where no picture is wanted.
    """
    with_images = [(title, images[0]) for title, images in contents if images]
    titles_without = {title for title, images in contents if not images}
    ids: set[int] = set()
    if with_images:
        titles, urls = zip(*with_images, strict=True)
        ids.update(
            ProductImages.objects.filter(image__url__in=set(urls), product__title__in=set(titles)).values_list(
                "product_id", flat=True
            )
        )
    if titles_without:
        ids.update(
            Product.objects.filter(title__in=titles_without, product_images__isnull=True).values_list("pk", flat=True)
        )
    return ids

"""Reads of products together with their labels: lists, and one product in full."""

from dataclasses import replace

from django.core.cache import cache
from django.db import DEFAULT_DB_ALIAS
from django.db.models import F, OuterRef, QuerySet, Subquery

from catalog.browse.filters import PRODUCT_ORDERINGS, ProductCriteria, list_model_versions
from catalog.models import Product, ProductImages, ProductLabel
from catalog.search.query import TextSearch
from config.db.paging import KeysetOrdering, Page, find_adjacent_rows, get_page, write_cursor

#: A filter may come to know so much later that labels come from another version.
VERSIONS_FRESH_SECONDS = 10


def get_product_ordering(criteria: ProductCriteria) -> KeysetOrdering:
    """Return the order that the criteria ask for.

    Products that are chosen by their label are ordered by the column of its table, which has the same values: each of
    its indexes has the order behind what is chosen.
    """
    ordering = PRODUCT_ORDERINGS[criteria.ordering]
    if ordering.fields == ("pk",) and criteria.label_conditions:
        return replace(ordering, fields=("label__product_id",))
    return ordering


def list_labelled_products(criteria: ProductCriteria) -> QuerySet[Product]:
    """Return the products that meet the criteria, not yet ordered.

    Each has `image_url` and `description` as in `with_listing_fields`, `thumbnail_sha256` of its image with index 0 or
    None, and its label and model version loaded; all of it in one query, after two at once for a search on PostgreSQL.
    For the first of them in an order `find_product_page` is faster.
    """
    products = with_thumbnails(Product.objects.with_listing_fields(criteria.country))
    products = products.filter(criteria.label_conditions)
    if "confidence" in criteria.ordering and criteria.min_confidence is None:
        products = products.filter(label__confidence__isnull=False)
    return TextSearch(criteria.search).find(products).select_related("label__model_version")


def find_product_page(
    criteria: ProductCriteria, *, page_size: int, cursor: str = "", database: str = DEFAULT_DB_ALIAS
) -> Page:
    """Return the page of `list_labelled_products` that the cursor points at; raises `InvalidCursorError`.

    One query; with a search on PostgreSQL up to four. `database` is the one that it is read from.
    """
    return get_page(
        list_labelled_products(replace(criteria, search="")).using(database),
        ordering=get_product_ordering(criteria),
        page_size=page_size,
        cursor=cursor,
        search=TextSearch(criteria.search),
    )


def get_place(ordering: KeysetOrdering, product: Product) -> str:
    """Return the product's place in the list, for `find_adjacent_products`; empty where its id says it for ever."""
    return write_cursor(ordering, ordering.values_of(product)) if len(ordering.fields) > 1 else ""


def find_adjacent_products(
    criteria: ProductCriteria, product_id: int, *, place: str = ""
) -> tuple[Product | None, Product | None]:
    """Return the products before and behind one in the list, whether it is still there or not.

    `place` is where it stood in a list whose order may change. Two queries; with a search on PostgreSQL up to eight.
    Raises `InvalidCursorError`.
    """
    ordering = get_product_ordering(criteria)
    found: tuple[Product | None, Product | None] = find_adjacent_rows(
        list_labelled_products(replace(criteria, search="")),
        ordering=ordering,
        place=write_cursor(ordering, [product_id]) if len(ordering.fields) == 1 else place,
        search=TextSearch(criteria.search),
    )
    return found


def with_thumbnails(products: QuerySet[Product]) -> QuerySet[Product]:
    """Annotate `thumbnail_sha256`: the content hash of our copy of the image with index 0, or None."""
    first = ProductImages.objects.filter(
        product=OuterRef("pk"), image_index=0, image__stored_picture__url=F("image__url")
    ).order_by("pk")
    sha256 = Subquery(first.values("image__stored_picture__sha256")[:1])
    # The model declares the attribute for its readers.
    return products.annotate(thumbnail_sha256=sha256)  # type: ignore[no-redef]


def list_labelling_versions() -> list[str]:
    """Return the names of the versions that labels came from a moment ago, newest first, each once."""
    return cache.get_or_set("labelling-versions", _find_labelling_versions, VERSIONS_FRESH_SECONDS) or []


def _find_labelling_versions() -> list[str]:
    # The first label from each version on, which only an index gives: for one of just that version PostgreSQL reads all
    # of them in their order, 0.1 s a million where there is none.
    labels = ProductLabel.objects.filter(model_version_id__gte=OuterRef("pk")).order_by("model_version_id")
    first = Subquery(labels.values("model_version_id")[:1])
    with_labels = list_model_versions().annotate(first=first).filter(first=F("pk"))
    return list(dict.fromkeys(with_labels.values_list("name", flat=True)))

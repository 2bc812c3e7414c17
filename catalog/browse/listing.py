"""Reads of products together with their labels: lists, and one product in full."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime

from django.db import connection
from django.db.models import Exists, OuterRef, QuerySet, Subquery

from catalog.models import Product, ProductImages, ProductLabel
from catalog.search.query import TextSearch
from config.db.paging import KeysetOrdering, Page, get_page

Status = ProductLabel.Status
#: Those of products without a label row.
UNLABELLED_STATUSES = (Status.PENDING, Status.NO_IMAGE)

#: What a list of products can be ordered by. Only products that have a confidence have a place in an order of it.
PRODUCT_ORDERINGS: Mapping[str, KeysetOrdering] = {
    ordering.name: ordering
    for ordering in (
        KeysetOrdering("id", ("pk",)),
        KeysetOrdering("-id", ("pk",), descending=True),
        KeysetOrdering("confidence", ("label__confidence", "label__product_id")),
        KeysetOrdering("-confidence", ("label__confidence", "label__product_id"), descending=True),
    )
}


@dataclass(frozen=True, slots=True, kw_only=True)
class ProductCriteria:
    """Which products a list shows; empty strings and None do not narrow it.

    `search` finds products that contain each of its words, without case, in the title or in any description. `country`
    chooses the description only.
    """

    country: str = "us"
    group: str = ""
    garment: str = ""
    status: str = ""
    min_confidence: float | None = None
    search: str = ""
    ordering: str = "id"


def get_product_ordering(criteria: ProductCriteria) -> KeysetOrdering:
    """Return the order that the criteria ask for.

    Products that are chosen by their label, or by having none, are ordered by the column of the table that says so,
    which has the same values: each of its indexes has the order behind what is chosen.
    """
    ordering = PRODUCT_ORDERINGS[criteria.ordering]
    by_label = criteria.group or criteria.garment or criteria.min_confidence is not None
    by_status = criteria.status and criteria.status not in UNLABELLED_STATUSES
    if ordering.fields == ("pk",) and (by_label or by_status):
        return replace(ordering, fields=("label__product_id",), same_as_last=("pk",))
    if ordering.fields == ("pk",) and criteria.status and connection.vendor == "postgresql":
        return replace(ordering, fields=("unlabelled__product_id",), same_as_last=("pk",))
    return ordering


def list_labelled_products(criteria: ProductCriteria) -> QuerySet[Product]:
    """Return the products that meet the criteria, not yet ordered.

    Each has `image_url` and `description` as in `with_listing_fields`, `thumbnail_sha256` of its image with index 0 or
    None, and its label and model version loaded; all of it in one query, after two at once for a search on PostgreSQL.
    For the first of them in an order `find_product_page` is faster.
    """
    products = with_label_status(
        with_thumbnails(Product.objects.with_listing_fields(criteria.country)), criteria.status
    )
    if criteria.group:
        products = products.filter(label__group=criteria.group)
    if criteria.garment:
        products = products.filter(label__garment=criteria.garment)
    if criteria.min_confidence is not None:
        products = products.filter(label__confidence__gte=criteria.min_confidence)
    elif "confidence" in criteria.ordering:
        products = products.filter(label__confidence__isnull=False)
    if criteria.status in UNLABELLED_STATUSES:
        by_confidence = criteria.min_confidence is not None or "confidence" in criteria.ordering
        if criteria.group or criteria.garment or by_confidence:
            return products.none()
        if connection.vendor == "postgresql":
            products = products.select_related("unlabelled")
    return TextSearch(criteria.search).find(products).select_related("label__model_version")


def find_product_page(criteria: ProductCriteria, *, page_size: int, cursor: str = "") -> Page:
    """Return the page of `list_labelled_products` that the cursor points at; raises `InvalidCursorError`.

    One query; with a search on PostgreSQL up to four.
    """
    return get_page(
        list_labelled_products(replace(criteria, search="")),
        ordering=get_product_ordering(criteria),
        page_size=page_size,
        cursor=cursor,
        search=TextSearch(criteria.search),
    )


def with_thumbnails(products: QuerySet[Product]) -> QuerySet[Product]:
    """Annotate `thumbnail_sha256`: the content hash of our copy of the image with index 0, or None."""
    first = ProductImages.objects.filter(product=OuterRef("pk"), image_index=0).order_by("pk")
    sha256 = Subquery(first.values("image__stored_picture__sha256")[:1])
    # The model declares the attribute for its readers.
    return products.annotate(thumbnail_sha256=sha256)  # type: ignore[no-redef]


def with_label_status(products: QuerySet[Product], status: str) -> QuerySet[Product]:
    """Keep the products of this label status; every product when it is empty.

    Products that nobody looked at have no label row: they are pending, or have no image. PostgreSQL has a table that
    says which; elsewhere the tables are compared.
    """
    if not status:
        return products
    if status not in UNLABELLED_STATUSES:
        return products.filter(label__status=status)
    if connection.vendor == "postgresql":
        return products.filter(unlabelled__status=status)
    first_image = Exists(ProductImages.objects.filter(product=OuterRef("pk"), image_index=0))
    return products.filter(first_image if status == Status.PENDING else ~first_image, label__isnull=True)


@dataclass(frozen=True, slots=True)
class LabelSummary:
    """A product's current label; there is one for every product, with None where nothing is known."""

    status: str
    group: str | None = None
    garment: str | None = None
    confidence: float | None = None
    model_version: str | None = None
    labelled_at: datetime | None = None

    @property
    def status_name(self) -> str:
        """The status in words."""
        return str(Status(self.status).label).capitalize()


def get_label_summary(product: Product) -> LabelSummary:
    """Return the label of a product that came from `list_labelled_products`; no query."""
    label: ProductLabel | None = getattr(product, "label", None)
    if label is None:
        return LabelSummary(status=Status.PENDING if product.image_url is not None else Status.NO_IMAGE)
    return LabelSummary(
        status=label.status,
        group=label.group or None,
        garment=label.garment or None,
        confidence=label.confidence,
        model_version=label.model_version.name if label.model_version else None,
        labelled_at=label.labelled_at,
    )

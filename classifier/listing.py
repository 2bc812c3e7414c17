"""Reads of products together with their labels: lists, and one product in full."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

import numpy as np
from django.db import connection
from django.db.models import Exists, OuterRef, QuerySet, Subquery

from catalog.models import Product, ProductDescription, ProductImages, StoredPicture
from catalog.paging import KeysetOrdering, Page, get_page
from catalog.search import TextSearch
from classifier.ml.labels import GARMENTS, GROUPS, group_probabilities
from classifier.models import Classification, LabelTask, ProductLabel, Review

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


@dataclass(frozen=True, slots=True)
class ImageLabel:
    """What is known of one image: a person's label before a machine's, and the probabilities that the machine gave.

    `confidence` is 1 for a person's label. `error_code` is set when the last try failed.
    """

    status: str
    source: str | None = None
    group: str | None = None
    garment: str | None = None
    confidence: float | None = None
    abstained: bool | None = None
    group_probabilities: Mapping[str, float] | None = None
    garment_probabilities: Mapping[str, float] | None = None
    model_version: str | None = None
    labelled_at: datetime | None = None
    error_code: str | None = None

    @property
    def status_name(self) -> str:
        """The status in words."""
        return str(Status(self.status).label).capitalize()


@dataclass(frozen=True, slots=True)
class ProductImageDetail:
    """An image at its place within a product; `picture` is our own copy, if we have one."""

    id: int
    url: str
    image_index: int
    picture: StoredPicture | None
    label: ImageLabel


@dataclass(frozen=True, slots=True)
class ProductDetail:
    """A product in full: images by index, descriptions by country and id."""

    product: Product
    label: LabelSummary
    images: list[ProductImageDetail]
    descriptions: list[ProductDescription]


def get_product_detail(product_id: int, *, country: str = "us") -> ProductDetail:
    """Return the product with all its images and descriptions, in six queries; raise `Product.DoesNotExist`."""
    product = list_labelled_products(ProductCriteria(country=country)).get(pk=product_id)
    placements = list(
        ProductImages.objects.filter(product=product)
        .select_related("image__stored_picture")
        .order_by("image_index", "pk")
    )
    labels = get_image_labels([placement.image_id for placement in placements])
    return ProductDetail(
        product=product,
        label=get_label_summary(product),
        images=[
            ProductImageDetail(
                id=placement.image_id,
                url=placement.image.url,
                image_index=placement.image_index,
                picture=getattr(placement.image, "stored_picture", None),
                label=labels[placement.image_id],
            )
            for placement in placements
        ],
        descriptions=list(ProductDescription.objects.filter(product=product).order_by("country_code", "pk")),
    )


def get_image_labels(image_ids: list[int]) -> dict[int, ImageLabel]:
    """Return the label of each image by its id, in three queries whatever their number."""
    reviews = {review.image_id: review for review in Review.objects.newest().filter(image_id__in=image_ids)}
    newest = Classification.objects.newest().filter(image_id__in=image_ids).defer("embedding")
    classifications = {
        classification.image_id: classification for classification in newest.select_related("model_version")
    }
    errors = LabelTask.objects.errors().filter(image_id__in=image_ids).order_by("last_failed_at", "pk")
    error_codes = dict(errors.values_list("image_id", "error_code"))
    return {
        image_id: build_image_label(
            review=reviews.get(image_id),
            classification=classifications.get(image_id),
            error_code=error_codes.get(image_id),
        )
        for image_id in image_ids
    }


def build_image_label(
    *, review: Review | None, classification: Classification | None, error_code: str | None
) -> ImageLabel:
    """Return the label that follows from an image's newest review, newest classification and last error."""
    machine: dict[str, Any] = {}
    if classification is not None:
        by_garment, by_group = get_probabilities(classification)
        machine = {
            "abstained": classification.abstained,
            "garment_probabilities": by_garment,
            "group_probabilities": by_group,
            "model_version": classification.model_version.name,
        }
    if review is not None:
        return ImageLabel(
            status=Status.REVIEWED,
            source=ProductLabel.Source.PERSON,
            group=review.group,
            garment=review.garment or None,
            confidence=1.0,
            labelled_at=review.created_at,
            error_code=error_code,
            **machine,
        )
    if classification is not None:
        return ImageLabel(
            status=Status.NEEDS_REVIEW if classification.abstained else Status.LABELLED,
            source=ProductLabel.Source.MACHINE,
            group=classification.group,
            garment=classification.garment,
            confidence=classification.confidence,
            labelled_at=classification.created_at,
            error_code=error_code,
            **machine,
        )
    return ImageLabel(status=Status.FAILED if error_code else Status.PENDING, error_code=error_code)


def get_probabilities(classification: Classification) -> tuple[dict[str, float], dict[str, float]]:
    """Return the probabilities by garment and by group, both in the order of their tables."""
    garments = np.array([classification.garment_probabilities], dtype=np.float64)
    groups = group_probabilities(garments)[0].round(6)
    return (
        dict(zip(GARMENTS, classification.garment_probabilities, strict=True)),
        dict(zip(GROUPS, groups.tolist(), strict=True)),
    )


def list_image_classifications(image_id: int) -> QuerySet[Classification]:
    """Return what model versions said of an image, with the version and without the embedding; not yet ordered."""
    return Classification.objects.filter(image=image_id).defer("embedding").select_related("model_version")

"""What is known of images and of a product in full: their labels, with what machines and people said."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import numpy as np
from django.db.models import QuerySet

from catalog.browse.listing import LabelSummary, ProductCriteria, Status, get_label_summary, list_labelled_products
from catalog.models import Product, ProductDescription, ProductImages, ProductLabel, StoredPicture
from classifier.ml.labels import GARMENTS, GROUPS, group_probabilities
from classifier.models import Classification, LabelTask, Review


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

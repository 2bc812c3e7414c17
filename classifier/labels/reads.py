"""What is known of images and of a product in full: their labels, as decided, and the probabilities behind them."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

import numpy as np
from django.db.models import QuerySet

from catalog.browse.filters import ProductCriteria
from catalog.browse.listing import list_labelled_products
from catalog.labels import LabelSummary, Status, describe_garment, get_label_summary
from catalog.models import Product, ProductDescription, ProductImages, StoredPicture
from classifier.labels.decision import PictureFacts, decide
from classifier.labels.facts import find_picture_facts
from classifier.ml.labels import GARMENTS, GROUPS, group_probabilities
from classifier.models import Classification


@dataclass(frozen=True, slots=True)
class ImageLabel:
    """What is known of one image: its label as decided, and the probabilities that the machine gave.

    `confidence` is 1 for a person's label. `error_code` is set when the last try failed. `classification` is what the
    version said that decides, or would without a person's label.
    """

    status: str
    source: str | None
    group: str | None
    garment: str | None
    garment_unsure: bool
    confidence: float | None
    reason: str
    labelled_at: datetime | None
    error_code: str | None
    classification: Classification | None = None

    @property
    def status_name(self) -> str:
        """The status in words."""
        return str(Status(self.status).label)

    @property
    def garment_words(self) -> str:
        """The garment in words; empty without one."""
        return describe_garment(self.garment, unsure=self.garment_unsure)

    @property
    def model_version(self) -> str | None:
        """The name of the version that decides, or would."""
        return self.classification.model_version.name if self.classification else None

    @property
    def abstained(self) -> bool | None:
        """Whether the version was not sure."""
        return self.classification.abstained if self.classification else None

    @property
    def garment_probabilities(self) -> Mapping[str, float] | None:
        """The probability of each garment, in the order of GARMENTS."""
        return get_probabilities(self.classification)[0] if self.classification else None

    @property
    def group_probabilities(self) -> Mapping[str, float] | None:
        """The probability of each group, in the order of GROUPS."""
        return get_probabilities(self.classification)[1] if self.classification else None


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
    images: Sequence[ProductImageDetail]
    descriptions: list[ProductDescription]


def get_product_detail(product_id: int, *, country: str = "us") -> ProductDetail:
    """Return the product with all its images and descriptions, in ten queries; raise `Product.DoesNotExist`."""
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
                picture=placement.image.picture,
                label=labels[placement.image_id],
            )
            for placement in placements
        ],
        descriptions=list(ProductDescription.objects.filter(product=product).order_by("country_code", "pk")),
    )


def get_image_labels(image_ids: Collection[int]) -> dict[int, ImageLabel]:
    """Return the label of each image by its id, in seven queries whatever their number."""
    facts = find_picture_facts(image_ids, every_failure=True)
    said = find_deciding_classifications(facts.values())
    return {image_id: _build_image_label(of, classification=said.get(image_id)) for image_id, of in facts.items()}


def find_deciding_classifications(facts: Collection[PictureFacts]) -> dict[int, Classification]:
    """Return what decides each image's label, or would without a person's, by the image."""
    ids = [of.classifications[0].id for of in facts if of.classifications]
    rows = Classification.objects.filter(pk__in=ids).select_related("model_version")
    return {row.image_id: row for row in rows} if ids else {}


def _build_image_label(facts: PictureFacts, *, classification: Classification | None) -> ImageLabel:
    decision = decide(facts)
    return ImageLabel(
        status=decision.status,
        source=decision.source or None,
        group=decision.group or None,
        garment=decision.garment or None,
        garment_unsure=decision.garment_unsure,
        confidence=decision.confidence,
        reason=decision.reason,
        labelled_at=decision.labelled_at,
        error_code=facts.failure.code if facts.failure else None,
        classification=classification,
    )


def get_probabilities(classification: Classification) -> tuple[dict[str, float], dict[str, float]]:
    """Return the probabilities by garment and by group, both in the order of their tables."""
    garments = np.array([classification.garment_probabilities], dtype=np.float64)
    groups = group_probabilities(garments)[0].round(6)
    return (
        dict(zip(GARMENTS, classification.garment_probabilities, strict=True)),
        dict(zip(GROUPS, groups.tolist(), strict=True)),
    )


def list_image_classifications(image_id: int) -> QuerySet[Classification]:
    """Return what model versions said of an image, with the version; not yet ordered."""
    return Classification.objects.filter(image=image_id).select_related("model_version")

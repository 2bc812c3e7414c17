"""What is known of images and of a product in full: their labels, as decided, and the probabilities behind them."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

import numpy as np

from catalog.browse.filters import ProductCriteria
from catalog.browse.listing import list_labelled_products
from catalog.labels import LabelSummary, Status, describe_garment, get_label_summary, name_evidence
from catalog.models import Product, ProductDescription, ProductImages, StoredPicture
from classifier.labels.decision import SILENT, PictureFacts, decide
from classifier.labels.facts import find_picture_facts
from classifier.labels.texts import find_title_head, read_product_texts
from classifier.ml.judging.fusion import TextSaid
from classifier.ml.labels import GARMENTS, GROUPS, group_probabilities
from classifier.ml.text.reading import TextReading
from classifier.models import Classification, TextPrecision


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
    evidence: str
    labelled_at: datetime | None
    error_code: str | None
    review_id: int | None = None
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
class ProductTexts:
    """What a product's texts say, and what is known of texts where it is sold; None is nothing yet.

    `learned` is what reviews taught about its title, as `TextSaid` has it.
    """

    reading: TextReading
    precision: TextPrecision | None
    learned: Sequence[float] = ()

    @property
    def said(self) -> TextSaid:
        """What of it has a part in the label."""
        of = self.reading
        has_vote = self.precision is not None and self.precision.has_vote
        return TextSaid(of.verdict, of.group, of.garment, of.score, has_vote, self.learned)


@dataclass(frozen=True, slots=True)
class ProductDetail:
    """A product in full: images by index, descriptions by country and id, and what the texts say."""

    product: Product
    label: LabelSummary
    images: Sequence[ProductImageDetail]
    descriptions: list[ProductDescription]
    texts: ProductTexts


def get_product_detail(product_id: int, *, country: str = "us") -> ProductDetail:
    """Return the product with all its images and descriptions, in twelve queries; raise `Product.DoesNotExist`.

    Its label comes with what it follows from.
    """
    products = list_labelled_products(ProductCriteria(country=country))
    product = products.select_related("label__classification", "label__image__stored_picture").get(pk=product_id)
    placements = list(
        ProductImages.objects.filter(product=product)
        .select_related("image__stored_picture")
        .order_by("image_index", "pk")
    )
    descriptions = list(ProductDescription.objects.filter(product=product).order_by("country_code", "pk"))
    texts = read_detail_texts(product.title, descriptions)
    # Texts count for the picture that the product shows first.
    said = {place.image_id: texts.said for place in placements if place.image_index == 0}
    labels = get_image_labels([placement.image_id for placement in placements], texts=said)
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
        descriptions=descriptions,
        texts=texts,
    )


def read_detail_texts(title: str, descriptions: Collection[ProductDescription]) -> ProductTexts:
    """Return what a product's texts say, in two queries."""
    rows = sorted(descriptions, key=lambda row: row.pk)
    country = rows[0].country_code if rows else ""
    head = find_title_head()
    return ProductTexts(
        reading=read_product_texts(title, [(row.country_code, row.original_text, row.translated_text) for row in rows]),
        precision=TextPrecision.objects.filter(country=country).first(),
        learned=head.odds([title])[0].tolist() if head is not None and title else (),
    )


def get_image_labels(
    image_ids: Collection[int], *, texts: Mapping[int, TextSaid] | None = None
) -> dict[int, ImageLabel]:
    """Return the label of each image by its id, in seven queries whatever their number.

    `texts` is what the texts say of the product that shows an image first.
    """
    facts = find_picture_facts(image_ids, every_failure=True)
    said = find_deciding_classifications(facts.values())
    return {
        image_id: _build_image_label(of, texts=(texts or {}).get(image_id, SILENT), classification=said.get(image_id))
        for image_id, of in facts.items()
    }


def find_deciding_classifications(facts: Collection[PictureFacts]) -> dict[int, Classification]:
    """Return what decides each image's label, or would without a person's, by the image."""
    ids = [of.classifications[0].id for of in facts if of.classifications]
    rows = Classification.objects.filter(pk__in=ids).select_related("model_version")
    return {row.image_id: row for row in rows} if ids else {}


def _build_image_label(facts: PictureFacts, *, texts: TextSaid, classification: Classification | None) -> ImageLabel:
    decision = decide(facts, texts)
    return ImageLabel(
        status=decision.status,
        source=decision.source or None,
        group=decision.group or None,
        garment=decision.garment or None,
        garment_unsure=decision.garment_unsure,
        confidence=decision.confidence,
        reason=decision.reason,
        evidence=name_evidence(decision.evidence, source=decision.source),
        labelled_at=decision.labelled_at,
        error_code=facts.failure.code if facts.failure else None,
        review_id=decision.review_id,
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

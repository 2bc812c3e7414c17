"""Everything that a product's page shows: its pictures with label, thresholds and opinions, and its texts."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime

from django.db.models import CharField, F, Q, QuerySet, Value, Window
from django.db.models.expressions import BaseExpression
from django.db.models.functions import Cast, Coalesce, NullIf, RowNumber
from django.utils.text import Truncator

from catalog.models import ProductLabel
from classifier.evidence.words import WordsPage, describe_disagreement
from classifier.features.selectors import find_canonical
from classifier.labelling.errors import get_error_words
from classifier.labels.decision import PLACEHOLDER
from classifier.labels.reads import ProductDetail, ProductImageDetail, ProductTexts, get_product_detail
from classifier.ml.heads import Heads
from classifier.ml.judging.fusion import DOUBTED, KEPT_CONFIDENCE
from classifier.ml.words import percent
from classifier.models import Classification, LabelChange, ModelVersion, Review, describe_label, split_label
from classifier.registry.services import find_heads

#: What is shown at most of each: what versions said of a picture, what people said, and the changes of a label.
SHOWN_LENGTH = 20
#: Characters of a reviewer's note that are shown.
NOTE_LENGTH = 200


@dataclass(frozen=True, slots=True)
class Opinion:
    """What was said of a picture at one time: by a version in a run, or by a person (then `review` is set)."""

    at: datetime
    group: str
    garment: str
    confidence: float | None = None
    abstained: bool = False
    model_version: ModelVersion | None = None
    run_id: int | None = None
    review: Review | None = None

    @property
    def label(self) -> str:
        """The label in words: the group, and the garment where one was said; or a person's verdict."""
        if self.review is not None:
            return self.review.words
        return f"{self.group}, {self.garment}" if self.garment else self.group

    @property
    def run(self) -> str:
        """The run in words; empty of a review."""
        return f"run {self.run_id}" if self.run_id is not None else ""

    @property
    def reviewer_words(self) -> str:
        """Who gave the label and what they wrote beside it, for those who may read reviews; empty of a machine's."""
        if self.review is None:
            return ""
        note = Truncator(self.review.note).chars(NOTE_LENGTH)
        who = ", ".join(filter(None, (str(self.review.reviewer), describe_origin(self.review))))
        return f"{who}: {note}" if note else who

    @property
    def withdrawn_at(self) -> datetime | None:
        """When the label was withdrawn; None while it stands, and of a machine's."""
        return self.review.withdrawn_at if self.review else None


@dataclass(frozen=True, slots=True)
class Change:
    """A change of the product's label, and the review that it follows from, if that is among those that are read."""

    row: LabelChange
    review: Review | None = None

    @property
    def reviewer_words(self) -> str:
        """Who gave the label and how it came about, for those who may read reviews; empty of a machine's."""
        if self.review is None:
            return ""
        return ", ".join(filter(None, (str(self.review.reviewer), describe_origin(self.review))))


def describe_origin(review: Review) -> str:
    """Return how a review came about, in words; empty where a person labelled a picture on its own."""
    words = []
    if review.queue:
        words.append(f"from {review.get_queue_display()}")
    elif review.run_id is not None:
        words.append(f"by review run {review.run_id}")
    if review.control_id is not None:
        words.append("a control, which decides nothing")
    elif review.blind:
        words.append("blind")
    elif review.suggestion:
        suggested = describe_label(**split_label(review.suggestion))
        is_accepted = split_label(review.suggestion) == {"verdict": review.verdict, "group": review.group}
        words.append("as suggested" if is_accepted else f"instead of {suggested}")
    return ", ".join(words)


@dataclass(frozen=True, slots=True)
class ImagePage(ProductImageDetail):
    """An image at its place within a product.

    `threshold` is the confidence from which on the version keeps a label of
    the group that it gave, `too_little_evidence` says that it abstained above that. `disagreement` is what title and
    picture say against each other.
    """

    opinions: list[Opinion]
    threshold: float | None
    too_little_evidence: bool
    disagreement: str = ""

    @property
    def why_no_picture(self) -> str:
        """Why there is no copy of ours to show; empty where there is one."""
        if self.picture:
            return ""
        return "Could not be read" if self.label.status == ProductLabel.Status.FAILED else "Not fetched yet"

    @property
    def why_failed(self) -> str:
        """Why the last try to read the picture failed; empty where it did not."""
        code = self.label.error_code
        return f"The last try failed. {get_error_words(code)} ({code})." if code else ""

    @property
    def mend(self) -> dict[str, str | int]:
        """What the form that mends the image is filled with."""
        return {"image_id": self.id, "url": self.url, "key": self.id}

    @property
    def pressed(self) -> str:
        """The group, garment or verdict whose button stands for the label that a person gave; empty without one."""
        label = self.label
        return label.garment or label.group or label.status if label.source == ProductLabel.Source.PERSON else ""

    @property
    def why_not_kept(self) -> str:
        """Why the version's label is not kept without a person; empty where it is, or where a person gave one."""
        label = self.label
        if label.reason == PLACEHOLDER:
            return (
                "No label follows from this picture: many unlike products show it first, so it is taken for a "
                "placeholder, unless a person says otherwise in the error queue."
            )
        if self.disagreement:
            return f"Not kept without a person: {self.disagreement}"
        if (
            label.status == ProductLabel.Status.LABELLED
            or not label.abstained
            or label.source != ProductLabel.Source.MACHINE
            or label.confidence is None
        ):
            return ""
        none = label.classification.none_probability if label.classification else None
        if none is not None and none >= DOUBTED:
            reason = f"it looks like none of the five groups, by what was marked so ({percent(none)})."
        elif self.too_little_evidence:
            reason = "the picture shows too little of what the network knows as clothes, whatever its confidence."
        elif self.threshold:
            reason = (
                f"{self.who_is_sure} {percent(label.confidence)} sure, and a label of {label.group} is kept "
                f"from {percent(self.threshold)} on."
            )
        else:
            reason = "the network is not sure enough."
        return f"Not kept without a person: {reason}"

    @property
    def who_is_sure(self) -> str:
        """Whose confidence it is, with the verb."""
        return "the network is" if self.label.evidence == ProductLabel.Evidence.PICTURE else "picture and texts are"

    @property
    def evidence_words(self) -> str:
        """On what the label stands; empty of a person's."""
        words = {"picture": "The picture", "text": "The texts", "both": "The picture and the texts"}
        return words.get(self.label.evidence, "")


@dataclass(frozen=True, slots=True)
class ProductPage(ProductDetail):
    """A product in full, with what its page shows of each image, and the last changes of its label."""

    images: Sequence[ImagePage]
    changes: Sequence[Change]

    @property
    def images_title(self) -> str:
        """What stands above the images."""
        return "Image" if len(self.images) == 1 else f"{len(self.images)} images"

    @property
    def words(self) -> WordsPage:
        """What the texts say."""
        return WordsPage(self.texts)

    @property
    def marked_title(self) -> str:
        """The title as HTML, with the words that counted marked."""
        return self.words.mark_title(self.product.title)

    @property
    def marked_descriptions(self) -> list[tuple[str, str, str]]:
        """Country, original and translated text of each description, likewise."""
        return [
            (
                row.country_code,
                self.words.mark_text(row.original_text, field="original_text", country=row.country_code),
                self.words.mark_text(row.translated_text, field="translated_text", country=row.country_code),
            )
            for row in self.descriptions
        ]


def get_product_page(product_id: int) -> ProductPage:
    """Return what the product's page shows, in sixteen queries; raise `Product.DoesNotExist`."""
    detail = get_product_detail(product_id)
    image_ids = [image.id for image in detail.images]
    newest_first = Classification.objects.filter(image_id__in=image_ids)
    classifications = list_newest_of_each(newest_first.select_related("model_version"), order="run_id")
    # A review holds wherever its picture is shown: those that were given for the same look elsewhere are shown too.
    appearances = [image.picture.appearance for image in detail.images if image.picture]
    reviews = list_newest_of_each(
        Review.objects.filter(Q(image_id__in=image_ids) | Q(appearance__in=appearances)).select_related("reviewer"),
        order="pk",
        of=Coalesce(NullIf("appearance", Value("")), Cast("image_id", CharField())),
    )
    known = {review.pk: review for review in reviews}
    changes = LabelChange.objects.filter(product_id=product_id)[:SHOWN_LENGTH]
    said = [image.label.classification for image in detail.images if image.label.classification]
    canonical = find_canonical([one.model_version.base_id for one in said], [one.sha256 for one in said])
    heads: dict[ModelVersion, Heads | None] = {}
    return ProductPage(
        product=detail.product,
        label=detail.label,
        images=[
            _build_image_page(
                image,
                texts=detail.texts,
                classifications=classifications,
                reviews=reviews,
                canonical=canonical,
                heads=heads,
            )
            for image in detail.images
        ],
        descriptions=detail.descriptions,
        texts=detail.texts,
        changes=[Change(row, known.get(row.review_id or 0)) for row in changes],
    )


def _build_image_page(
    image: ProductImageDetail,
    *,
    texts: ProductTexts,
    classifications: list[Classification],
    reviews: list[Review],
    canonical: Collection[tuple[int, str]],
    heads: dict[ModelVersion, Heads | None],
) -> ImagePage:
    said = image.label.classification
    appearance = image.picture.appearance if image.picture else None
    if said and said.model_version not in heads:
        # How labels follow from what the version saw; none when this machine has not its files.
        heads[said.model_version] = find_heads(said.model_version)
    answering = heads[said.model_version] if said else None
    threshold = None
    if said and answering:
        is_canonical = (said.model_version.base_id, said.sha256) in canonical
        threshold = answering.find_threshold(said.group, canonical=is_canonical)
    too_little_evidence = bool(said and said.abstained and threshold is not None and said.confidence >= threshold)
    if image.label.evidence in (ProductLabel.Evidence.TEXT, ProductLabel.Evidence.BOTH):
        threshold = KEPT_CONFIDENCE
    return ImagePage(
        id=image.id,
        url=image.url,
        image_index=image.image_index,
        picture=image.picture,
        label=image.label,
        opinions=build_opinions(
            [row for row in classifications if row.image_id == image.id],
            [row for row in reviews if row.image_id == image.id or row.appearance == appearance],
        ),
        threshold=threshold,
        too_little_evidence=too_little_evidence,
        disagreement=describe_disagreement(texts, image.label),
    )


def list_newest_of_each(rows: QuerySet, *, order: str, of: F | BaseExpression = F("image_id")) -> list:  # noqa: B008
    """Return the newest `SHOWN_LENGTH` rows of each image, or of what else, newest first, by one query."""
    rank = Window(RowNumber(), partition_by=of, order_by=F(order).desc())
    return list(rows.annotate(rank=rank).filter(rank__lte=SHOWN_LENGTH).order_by(F(order).desc()))


def build_opinions(classifications: list[Classification], reviews: list[Review]) -> list[Opinion]:
    """Return what was said of a picture, newest first."""
    opinions = [
        Opinion(
            at=row.created_at,
            group=row.group,
            garment=row.garment,
            confidence=row.confidence,
            abstained=row.abstained,
            model_version=row.model_version,
            run_id=row.run_id,
        )
        for row in classifications
    ]
    opinions += [
        Opinion(at=review.created_at, group=review.group, garment=review.garment, review=review) for review in reviews
    ]
    return sorted(opinions, key=lambda opinion: opinion.at, reverse=True)[: 2 * SHOWN_LENGTH]

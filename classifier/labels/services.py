"""Writes of labels: a person's label for a picture, and the current label of each product."""

from collections.abc import Collection
from functools import partial

from django.contrib.auth.models import User
from django.db import connection, transaction
from django.db.models import Exists, OuterRef, Q
from django.utils import timezone

from catalog.models import Image, ProductImages, ProductLabel, UnlabelledStatus
from classifier.ml.labels import GARMENTS, GROUP_OF_GARMENT, GROUPS
from classifier.models import Classification, LabelTask, Review
from config.db.reconnecting import retry_while_unreachable

Status = ProductLabel.Status
Source = ProductLabel.Source


class ReviewError(ValueError):
    """A review that names an unknown group or a garment of another group."""


def record_review(image: Image, *, group: str, garment: str = "", reviewer: User, note: str = "") -> Review:
    """Save a person's label for a picture; it wins over every machine from now on.

    Raises `ReviewError` for a group or garment that does not exist, or a garment of another group; nothing is written.
    """
    if group not in GROUPS:
        raise ReviewError(f"Expected a group out of {', '.join(GROUPS)}; received {group!r}.")
    if garment and GROUP_OF_GARMENT.get(garment) != group:
        known = ", ".join(name for name in GARMENTS if GROUP_OF_GARMENT[name] == group)
        raise ReviewError(f"Expected a garment of {group} ({known}), or none; received {garment!r}.")
    with transaction.atomic():
        lock_images([image.pk])
        review = Review.objects.create(image=image, group=group, garment=garment, reviewer=reviewer, note=note)
        refresh_product_labels([image.pk])
    return review


def lock_images(image_ids: Collection[int]) -> None:
    """Lock the images' rows, in one order, until the transaction ends.

    Whoever decides a product's label holds the lock of its image, so a machine's result and a person's review of the
    same picture cannot pass each other. (SQLite has one writer at a time anyway.)
    """
    locked = Image.objects.select_for_update(no_key=True).filter(pk__in=image_ids).order_by("pk")
    list(locked.values_list("pk", flat=True))


def refresh_product_labels(image_ids: Collection[int]) -> None:
    """Write the current label of every product whose image with index 0 is one of these; in seven queries at most.

    The newest review decides (its confidence is 1); without one the classification of the latest run; without one a
    failure. Call it inside the transaction that wrote what decides, after `lock_images`.
    """
    ids = list(image_ids)
    placements = list(
        ProductImages.objects.filter(image_id__in=ids, image_index=0).values_list("product_id", "image_id")
    )
    if not placements:
        return
    reviews = {review.image_id: review for review in Review.objects.newest().filter(image_id__in=ids)}
    newest = Classification.objects.newest().filter(image_id__in=ids).defer("embedding", "garment_probabilities")
    classifications = {classification.image_id: classification for classification in newest}
    failed = set(LabelTask.objects.errors().filter(image_id__in=ids).values_list("image_id", flat=True))
    labels = [
        build_product_label(
            product_id,
            image_id=image_id,
            review=reviews.get(image_id),
            classification=classifications.get(image_id),
            failed=image_id in failed,
        )
        for product_id, image_id in placements
    ]
    decided = [label for label in labels if label is not None]
    undecided = [product_id for (product_id, _), label in zip(placements, labels, strict=True) if label is None]
    if undecided and connection.vendor == "postgresql":
        # The triggers of the two statements that follow lock a row for each of their products: all of them here, in the
        # one order that everybody keeps.
        statuses = UnlabelledStatus.objects.select_for_update().filter(product__in=[id for id, _ in placements])
        list(statuses.order_by("pk").values_list("pk", flat=True))
    ProductLabel.objects.filter(product_id__in=undecided).delete()
    written = [field.name for field in ProductLabel._meta.concrete_fields if not field.primary_key]
    ProductLabel.objects.bulk_create(decided, update_conflicts=True, unique_fields=["product"], update_fields=written)


def build_product_label(
    product_id: int,
    *,
    image_id: int,
    review: Review | None,
    classification: Classification | None,
    failed: bool,
) -> ProductLabel | None:
    """Return the product's label (unsaved) from what is known of its first image, or None while nothing is known."""
    label = ProductLabel(product_id=product_id, image_id=image_id, review=review, classification=classification)
    if classification is not None:
        label.model_version_id = classification.model_version_id
    if review is not None:
        label.group, label.garment = review.group, review.garment
        label.confidence, label.status, label.source = 1.0, Status.REVIEWED, Source.PERSON
        label.labelled_at = review.created_at
    elif classification is not None:
        label.group, label.garment = classification.group, classification.garment
        label.confidence = classification.confidence
        label.status = Status.NEEDS_REVIEW if classification.abstained else Status.LABELLED
        label.labelled_at = classification.created_at
    elif failed:
        label.status, label.labelled_at = Status.FAILED, timezone.now()
    else:
        return None
    return label


def refresh_stale_product_labels(*, batch_size: int = 5000) -> int:
    """Bring labels up to date after the catalogue changed; return how many products were touched.

    An import moves pictures without knowing of labels: a product's image with index 0 may be another now, or one that
    was labelled before for another product. The import command calls this; a labelling run looks at its own pictures.
    What meets another import halfway is done again.
    """
    images = Image.objects.order_by("pk").values_list("pk", flat=True)
    touched, after, newest = 0, 0, images.last() or 0
    while after < newest:
        until = next(iter(images.filter(pk__gt=after)[batch_size - 1 : batch_size]), newest)
        touched += retry_while_unreachable(partial(_refresh_stale_labels_between, after, until))
        after = until
    return touched


def _refresh_stale_labels_between(after: int, until: int) -> int:
    """Do what `refresh_stale_labels_of` does for the images with ids in this range, `after` excluded.

    It is told of those alone that may need it: where all labels are right, lists of 5,000 ids take several times as
    long as their rows.
    """
    between = Q(image__gt=after, image__lte=until)
    first = ProductImages.objects.filter(between, image_index=0).order_by()
    placements = list(first.values_list("image_id", "product__label__image_id"))
    placement = ProductImages.objects.filter(product=OuterRef("product"), image=OuterRef("image"), image_index=0)
    suspects = set(ProductLabel.objects.filter(~Exists(placement), between).values_list("image_id", flat=True))
    suspects.update(image_id for image_id, labelled in placements if labelled not in (None, image_id))
    if unlabelled := {image_id for image_id, labelled in placements if labelled is None}:
        for rows in (Classification.objects.all(), Review.objects.all(), LabelTask.objects.errors()):
            suspects.update(unlabelled.intersection(rows.filter(between).order_by().values_list("image_id", flat=True)))
    return refresh_stale_labels_of(suspects) if suspects else 0


def refresh_stale_labels_of(image_ids: Collection[int]) -> int:
    """Bring the labels of the products that show one of these images first, or did, up to date; return how many.

    In transactions of its own: it locks images, which whoever finishes tasks does after locking those.
    """
    # Compared here, by ids: PostgreSQL joins 2,000 images with every classification there is, 1.3 s of 200,000.
    placements = dict(
        ProductImages.objects.filter(image_index=0, image__in=image_ids)
        .order_by()
        .values_list("product_id", "image_id")
    )
    labelled = dict(ProductLabel.objects.filter(product__in=placements).values_list("product_id", "image_id"))
    shown = ProductLabel.objects.filter(image__in=image_ids).values_list("product_id", "image_id")
    left = [product_id for product_id, image_id in shown if placements.get(product_id) != image_id]
    placement = ProductImages.objects.filter(product=OuterRef("product"), image=OuterRef("image"), image_index=0)
    # The image again: whoever wrote the label anew while PostgreSQL waited for the row has put another one there. That
    # something does not exist is not asked again of such a row.
    gone = ProductLabel.objects.filter(~Exists(placement), product__in=left, image__in=image_ids)
    touched = gone.delete()[0] if left else 0
    stale = {image_id for product_id, image_id in placements.items() if labelled.get(product_id, image_id) != image_id}
    unlabelled = {image_id for product_id, image_id in placements.items() if product_id not in labelled}
    if unlabelled:
        for rows in (Classification.objects.all(), Review.objects.all(), LabelTask.objects.errors()):
            stale.update(rows.filter(image__in=unlabelled).order_by().values_list("image_id", flat=True))
    if stale:
        with transaction.atomic():
            lock_images(stale)
            refresh_product_labels(stale)
    return touched + len(stale)

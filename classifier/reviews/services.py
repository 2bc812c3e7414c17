"""People's labels: given, and withdrawn."""

from collections.abc import Collection, Mapping
from contextlib import suppress
from datetime import datetime

from django.contrib.auth.models import User
from django.db import IntegrityError, transaction
from django.db.models import Exists, OuterRef, Q, QuerySet
from django.db.models.functions import Now

from catalog.models import Image
from classifier.labels.facts import find_images_with_appearance
from classifier.labels.services import Why, lock_images, refresh_image_labels
from classifier.ml.labels import GARMENTS, GROUP_OF_GARMENT, GROUPS
from classifier.models import Review, ReviewRun, ReviewTile, Verdict

State = ReviewTile.State


class ReviewError(ValueError):
    """A review that names an unknown group, a garment of another group, or a group beside another verdict."""


def check_label(group: str, garment: str = "", *, verdict: str = Verdict.GROUP) -> None:
    """Raise `ReviewError` for a label that no row may have, as the constraint of `Review` says it."""
    if verdict not in Verdict.values:
        raise ReviewError(f"Expected a verdict out of {', '.join(Verdict.values)}; received {verdict!r}.")
    if verdict != Verdict.GROUP:
        if group or garment:
            raise ReviewError(f"Expected no group and no garment beside {verdict}; received {group or garment!r}.")
        return
    if group not in GROUPS:
        raise ReviewError(f"Expected a group out of {', '.join(GROUPS)}; received {group!r}.")
    if garment and GROUP_OF_GARMENT.get(garment) != group:
        known = ", ".join(name for name in GARMENTS if GROUP_OF_GARMENT[name] == group)
        raise ReviewError(f"Expected a garment of {group} ({known}), or none; received {garment!r}.")


def record_review(
    image: Image,
    *,
    group: str = "",
    garment: str = "",
    verdict: str = Verdict.GROUP,
    reviewer: User,
    note: str = "",
) -> Review:
    """Save a person's label for a picture; it wins over every machine from now on, wherever the picture is shown.

    Raises `ReviewError`, as `check_label` does; nothing is written then.
    """
    check_label(group, garment, verdict=verdict)
    with transaction.atomic():
        (review,) = record_reviews(
            [image.pk], verdict=verdict, group=group, garment=garment, reviewer_id=reviewer.pk, note=note
        )
    return review


def record_reviews(
    image_ids: Collection[int],
    *,
    reviewer_id: int,
    decided_at: datetime | None = None,
    suggestions: Mapping[int, str] | None = None,
    **fields: object,
) -> list[Review]:
    """Save a person's label for the pictures of these images, and refresh who shows them; within a transaction.

    `suggestions` has the labels that the person saw, by the images' ids. With `decided_at`, a past time, pictures that
    a person labelled after it, by whatever image, keep that label.
    """
    if decided_at is not None:
        fields["created_at"] = decided_at
    reviews = [
        build_review(image, reviewer_id=reviewer_id, suggestion=(suggestions or {}).get(image.pk, ""), **fields)
        for image in Image.objects.filter(pk__in=image_ids).select_related("stored_picture").order_by("pk")
    ]
    affected = lock_images_of(reviews)
    if decided_at is not None:
        later = Review.objects.standing().filter(created_at__gt=decided_at).order_by()
        images = set(later.filter(image__in=image_ids).values_list("image_id", flat=True))
        looks = {review.appearance for review in reviews} - {""}
        looks = set(later.filter(appearance__in=looks).values_list("appearance", flat=True))
        reviews = [review for review in reviews if review.image_id not in images and review.appearance not in looks]
    Review.objects.bulk_create(reviews)
    refresh_image_labels(affected, why=Why.REVIEWED)
    return reviews


def build_review(image: Image, *, reviewer_id: int, **fields: object) -> Review:
    """Return a person's label of what the image, which came with its picture, shows now; not saved."""
    appearance = image.picture.appearance if image.picture else ""
    return Review(image=image, url=image.url, appearance=appearance, reviewer_id=reviewer_id, **fields)


def withdraw_reviews(reviews: QuerySet[Review]) -> int:
    """Withdraw those of the reviews that stand: their pictures have the label that they would have without them."""
    with transaction.atomic():
        standing = list(reviews.filter(withdrawn_at__isnull=True).order_by("pk"))
        affected = lock_images_of(standing)
        withdrawn = Review.objects.filter(pk__in=[review.pk for review in standing], withdrawn_at__isnull=True)
        number = withdrawn.update(withdrawn_at=Now())
        _reopen_tiles(standing)
        refresh_image_labels(affected, why=Why.WITHDRAWN)
    return number


def may_withdraw(given: Review | ReviewRun, *, user: User) -> bool:
    """Return whether the user may withdraw a review or end a run of them: one's own, anybody's with the permission."""
    by = given.reviewer_id if isinstance(given, Review) else given.requested_by_id
    return by == user.pk or user.has_perm("classifier.change_review")


def _reopen_tiles(withdrawn: Collection[Review]) -> None:
    """Have tiles open again of which their reviewer says nothing any more, while they are lent; else they are free."""
    given = [review for review in withdrawn if review.batch_id is not None]
    if not given:
        return
    batches, images = {review.batch_id for review in given}, {review.image_id for review in given}
    left = Review.objects.filter(batch=OuterRef("batch"), image=OuterRef("image"), withdrawn_at__isnull=True)
    tiles = ReviewTile.objects.filter(~Exists(left), batch__in=batches, image__in=images, state=State.REVIEWED)
    ids = list(tiles.values_list("pk", flat=True))
    freed = ReviewTile.objects.filter(pk__in=ids)
    freed.update(state=State.FREED)
    taken = ReviewTile.objects.filter(Q(product=OuterRef("product")) | Q(image=OuterRef("image")), state=State.OPEN)
    # Where somebody takes one of them just now they stay free.
    with suppress(IntegrityError), transaction.atomic():
        freed.filter(~Exists(taken), batch__expires_at__gt=Now()).update(state=State.OPEN)


def lock_images_of(reviews: Collection[Review]) -> list[int]:
    """Lock every image that shows what one of the reviews is about, and return their ids."""
    image_ids = {review.image_id for review in reviews if review.image_id is not None}
    image_ids.update(find_images_with_appearance({review.appearance for review in reviews if review.appearance}))
    lock_images(image_ids)
    return sorted(image_ids)

"""Reviews as they come in from pages and programs: each has a result of its own, and none is written over unseen.

A review names what its reviewer saw: the person's label that stood then, the look of the picture, and the batch that
lent the tile. Where one of them is another now nothing is recorded, and the result says what is there instead.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Any

from django.contrib.auth.models import User
from django.db import transaction
from django.db.models.functions import Now

from catalog.models import Image, ProductImages
from classifier.labels.facts import find_picture_facts
from classifier.labels.services import Why, refresh_image_labels
from classifier.models import Review, ReviewBatch, ReviewTile, Verdict
from classifier.reviews.batches import LEASE
from classifier.reviews.services import build_review, lock_images_of
from config.db.arrays import AnyOf

State = ReviewTile.State


class Outcome(StrEnum):
    """What became of one review; its sentence says more."""

    RECORDED = "recorded"
    CONFLICT = "conflict"
    PICTURE_CHANGED = "picture_changed"
    LEASE_LOST = "lease_lost"
    GONE = "gone"
    INVALID = "invalid"


@dataclass(frozen=True, slots=True, kw_only=True)
class Submission:
    """A person's label of an image, as `check_label` takes it, with what they saw.

    `seen_review` is the id of the person's label that stood, None where none did; `appearance` the look of the picture,
    empty where they do not say; `batch` the id of the batch whose tile it was, None without one.
    """

    image: int
    verdict: str = Verdict.GROUP
    group: str = ""
    garment: str = ""
    note: str = ""
    seen_review: int | None = None
    appearance: str = ""
    batch: int | None = None


@dataclass(frozen=True, slots=True)
class Result:
    """What became of a submission: the review that was recorded, or a sentence and the label that stands instead.

    `errors` has the messages for each field of what could not be read as a submission.
    """

    outcome: Outcome
    detail: str = ""
    review: Review | None = None
    standing: Review | None = None
    errors: dict[str, Any] | None = None


def submit_reviews(submissions: Sequence[Submission], *, reviewer: User) -> list[Result]:
    """Record those of the submissions whose reviewer saw what is there; return the result of each, in their order.

    In one transaction, and in a constant number of queries. Two of the same picture are a conflict, unless they say the
    same.
    """
    with transaction.atomic():
        images = _find_images(submissions)
        affected = lock_images_of([build_review(image, reviewer_id=reviewer.pk) for image in images.values()])
        desk = _Desk(reviewer, submissions, before=images)
        results = [desk.judge(submission) for submission in submissions]
        new = [result.review for result in results if result.review is not None]
        if new:
            Review.objects.bulk_create(new)
            refresh_image_labels(affected, why=Why.REVIEWED)
            desk.close_tiles()
    stored = Review.objects.select_related("reviewer").in_bulk([review.pk for review in new])
    return [
        replace(
            result,
            review=stored[result.review.pk] if result.review is not None else None,
            standing=stored.get(result.standing.pk, result.standing) if result.standing is not None else None,
        )
        for result in results
    ]


class _Desk:
    """What is known of the pictures, tiles and labels of one call, once their images are locked."""

    def __init__(self, reviewer: User, submissions: Sequence[Submission], *, before: dict[int, Image]) -> None:
        self.reviewer = reviewer
        self.before, self.images = before, _find_images(submissions)
        self.tiles = _find_tiles(submissions, reviewer=reviewer)
        products = {tile.product_id for tile in self.tiles.values()}
        first = ProductImages.objects.filter(AnyOf("product", products), image_index=0)
        self.first_images = dict(first.values_list("product_id", "image_id"))
        others = ReviewTile.objects.filter(AnyOf("product", products), state=State.OPEN)
        self.taken = set(others.exclude(batch__reviewer=reviewer).values_list("product_id", flat=True))
        facts = find_picture_facts(self.images)
        ids = {pk: of.review.id for pk, of in facts.items() if of.review is not None}
        reviews = Review.objects.select_related("reviewer").in_bulk(set(ids.values()))
        self.standing = {_get_look(self.images[pk]): reviews[review_id] for pk, review_id in ids.items()}
        self.reviewed: list[ReviewTile] = []

    def judge(self, submission: Submission) -> Result:
        """Return what becomes of a submission; a review is not saved yet."""
        image, tile = self.images.get(submission.image), None
        if image is None:
            return Result(Outcome.GONE, f"Expected an image that exists; there is none with the id {submission.image}.")
        if submission.batch is not None:
            tile = self.tiles.get((submission.batch, submission.image))
            if refusal := self._judge_tile(tile):
                return refusal
        look = image.picture.appearance if image.picture else ""
        if _get_look(self.before.get(image.pk)) != _get_look(image) or submission.appearance not in ("", look):
            return Result(Outcome.PICTURE_CHANGED, "The picture is another one since it was shown; look at it again.")
        standing = self.standing.get(_get_look(image))
        is_seen = standing is None or (standing.pk is not None and standing.pk == submission.seen_review)
        is_control = tile is not None and tile.control_id is not None
        if standing is not None and not is_seen and not is_control and not _is_same(standing, submission):
            return Result(Outcome.CONFLICT, self._describe_conflict(standing), standing=standing)
        review = build_review(
            image,
            reviewer_id=self.reviewer.pk,
            verdict=submission.verdict,
            group=submission.group,
            garment=submission.garment,
            note=submission.note,
        )
        review.reviewer = self.reviewer
        if tile is not None:
            review.batch, review.queue = tile.batch, tile.batch.queue
            review.blind, review.suggestion = tile.blind, tile.suggestion
            review.inclusion_probability = tile.inclusion_probability
            review.control_id = tile.control_id
            self.reviewed.append(tile)
        if not is_control:
            self.standing[_get_look(image)] = review
        return Result(Outcome.RECORDED, review=review)

    def close_tiles(self) -> None:
        """Write which tiles are reviewed, and put off the end of the leases that were used."""
        tiles = [tile.pk for tile in self.reviewed]
        ReviewTile.objects.filter(pk__in=tiles).update(state=State.REVIEWED)
        ReviewBatch.objects.filter(pk__in={tile.batch_id for tile in self.reviewed}).update(expires_at=Now() + LEASE)

    def _judge_tile(self, tile: ReviewTile | None) -> Result | None:
        if tile is None:
            return Result(Outcome.GONE, "The product was deleted, or this picture is not in that batch of yours.")
        if tile.state == State.FREED and tile.product_id in self.taken:
            return Result(Outcome.LEASE_LOST, "Your page was left for too long: somebody else has this picture now.")
        if self.first_images.get(tile.product_id) != tile.image_id:
            return Result(Outcome.PICTURE_CHANGED, "The product shows another picture since then; look at it again.")
        return None

    def _describe_conflict(self, standing: Review) -> str:
        if standing.reviewer_id == self.reviewer.pk:
            return f"You said {standing.words} since this was shown, on another page perhaps; that label stands."
        return f"{standing.reviewer} said {standing.words} since this was shown; that label stands."


def _find_images(submissions: Collection[Submission]) -> dict[int, Image]:
    images = Image.objects.filter(AnyOf("pk", {submission.image for submission in submissions}))
    return {image.pk: image for image in images.select_related("stored_picture")}


def _find_tiles(submissions: Collection[Submission], *, reviewer: User) -> dict[tuple[int, int], ReviewTile]:
    """Return the reviewer's own tiles that the submissions name, by batch and image."""
    batches = {submission.batch for submission in submissions if submission.batch is not None}
    tiles = ReviewTile.objects.filter(AnyOf("batch", batches), batch__reviewer=reviewer).select_related("batch")
    return {(tile.batch_id, tile.image_id): tile for tile in tiles}


def _get_look(image: Image | None) -> tuple[int | None, str]:
    """Return what a person's label of the image holds for: a look, or the image and its address before there is one."""
    if image is None:
        return (None, "")
    return (None, image.picture.appearance) if image.picture else (image.pk, image.url)


def _is_same(review: Review, submission: Submission) -> bool:
    said = (submission.verdict, submission.group, submission.garment)
    return (review.verdict, review.group, review.garment) == said

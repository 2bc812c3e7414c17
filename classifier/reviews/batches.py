"""Pages of tiles, lent to one reviewer at a time: two people never have the same product open.

A lease lasts ten minutes and is renewed by use; the database's clock tells when it ends, and its constraints who has
what. What a lease leaves when it ends is free as soon as somebody asks for tiles.
"""

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime, timedelta
from operator import attrgetter

from django.contrib.auth.models import User
from django.db import IntegrityError, transaction
from django.db.models import Exists, OuterRef
from django.db.models.functions import Now

from catalog.models import ProductLabel, StoredPicture
from classifier.models import ReviewBatch, ReviewTile, Verdict
from classifier.reviews.queues import Choice, Queue
from config.db.arrays import AnyOf

State = ReviewTile.State
LEASE = timedelta(minutes=10)
DEFAULT_SIZE, MAXIMUM_SIZE = 24, 96
# How often a queue is asked again when others took at the same time what it chose.
ATTEMPTS = 8


class LeaseError(Exception):
    """A batch whose time has run out, and of which others may have tiles now."""


@dataclass(frozen=True, slots=True)
class Tile:
    """A tile as its reviewer sees it.

    `garment` and `confidence` are those of the suggestion, empty and None without one; a garment that is not sure is
    none. `seen_review` is the person's label that stands now; a review of this tile names it, so that no other is
    written over.
    """

    row: ReviewTile
    picture: StoredPicture | None
    garment: str
    confidence: float | None
    seen_review: int | None

    @property
    def appearance(self) -> str:
        """The look that is reviewed; empty while no picture is held."""
        return self.picture.appearance if self.picture else ""


def start_batch(reviewer: User, queue: Queue, *, size: int = DEFAULT_SIZE) -> ReviewBatch | None:
    """Lend the reviewer the next tiles of a queue; return the batch, or None when nothing waits.

    Each round that writes tiles is a transaction of its own, so that no two of them wait for each other.
    """
    free_expired_tiles()
    batch, lent = None, 0
    for attempt in range(ATTEMPTS):
        choices = queue.choose(reviewer, size - lent)
        if not choices:
            break
        if batch is None:
            batch = ReviewBatch.objects.create(
                reviewer=reviewer, queue=queue.name, filter=queue.parameters, expires_at=Now() + LEASE
            )
        lent = _lend(batch, choices, position=attempt * size)
        if lent >= size:
            break
    if batch is not None and not lent:
        batch.delete()
        return None
    if batch is not None:
        batch.refresh_from_db()
    return batch


def renew_batch(batch: ReviewBatch) -> datetime:
    """Put the end of a lease off, and return it. Raises `LeaseError` when some of its tiles are free already."""
    with transaction.atomic():
        ReviewBatch.objects.filter(pk=batch.pk).update(expires_at=Now() + LEASE)
        if ReviewTile.objects.filter(batch=batch, state=State.FREED).exists():
            raise LeaseError("This page was left for so long that its pictures went back into the queue.")
    batch.refresh_from_db(fields=["expires_at"])
    return batch.expires_at


def find_open_batch(reviewer: User, queue: Queue, *, after: int = 0) -> ReviewBatch | None:
    """Return the reviewer's first batch of this queue that has open tiles and time left, or None.

    First of those behind the batch with the id `after`: a page that was lost comes again, and the next one is that
    which was fetched already.
    """
    is_open = Exists(ReviewTile.objects.filter(batch=OuterRef("pk"), state=State.OPEN))
    batches = ReviewBatch.objects.filter(is_open, reviewer=reviewer, queue=queue.name, expires_at__gt=Now())
    found = batches.filter(pk__gt=after).order_by("pk")
    return next((batch for batch in found if batch.filter == queue.parameters), None)


def free_expired_tiles() -> int:
    """Free what leases left behind whose time has run out; return how many tiles."""
    with transaction.atomic():
        expired = ReviewTile.objects.filter(state=State.OPEN, batch__expires_at__lt=Now()).order_by("pk")
        ids = [tile.pk for tile in expired.only("pk").select_for_update(skip_locked=True, of=("self",))]
        return ReviewTile.objects.filter(pk__in=ids, state=State.OPEN).update(state=State.FREED) if ids else 0


def list_tiles(batch: ReviewBatch) -> list[Tile]:
    """Return the batch's tiles in their order, in two queries. Those of products that are gone are missing."""
    rows = list(batch.tiles.select_related("product", "image__stored_picture").order_by("position"))
    labels = {
        label.product_id: label
        for label in ProductLabel.objects.filter(AnyOf("product", [row.product_id for row in rows]))
    }
    return [_build_tile(row, labels.get(row.product_id)) for row in rows]


def get_suggestion(label: ProductLabel) -> str:
    """Return what a label suggests: its group, or the verdict that its status is; empty while it says nothing."""
    return label.group or (label.status if label.status in Verdict.values else "")


def _build_tile(row: ReviewTile, label: ProductLabel | None) -> Tile:
    if label is not None and label.image_id != row.image_id:
        label = None
    suggested = label if label is not None and row.suggestion and get_suggestion(label) == row.suggestion else None
    return Tile(
        row=row,
        picture=row.image.picture,
        garment=suggested.garment if suggested and not suggested.garment_unsure else "",
        confidence=suggested.confidence if suggested else None,
        # That there is a label would tell a control from what the audit asks.
        seen_review=label.review_id if label and row.control_id is None else None,
    )


def _lend(batch: ReviewBatch, choices: Sequence[Choice], *, position: int) -> int:
    """Write the tiles that nobody else has open, in one statement; return how many the batch has then.

    They go in by the products' ids, so that two who want the same wait for each other in one order.
    """
    labels = ProductLabel.objects.filter(AnyOf("product", [choice.product_id for choice in choices]))
    suggestions = {label.product_id: get_suggestion(label) for label in labels}
    tiles = [
        ReviewTile(
            batch=batch,
            product_id=choice.product_id,
            image_id=choice.image_id,
            position=position + number,
            blind=choice.blind,
            suggestion="" if choice.blind else suggestions.get(choice.product_id, ""),
            inclusion_probability=choice.inclusion_probability,
            control_id=choice.control,
        )
        for number, choice in enumerate(choices)
    ]
    # A product that is deleted just now takes its round with it.
    with suppress(IntegrityError), transaction.atomic():
        ReviewTile.objects.bulk_create(sorted(tiles, key=attrgetter("product_id")), ignore_conflicts=True)
    return batch.tiles.count()

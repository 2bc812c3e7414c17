"""One label that a person gives to many pictures: what is to do stands in rows, and is done part by part.

A part is recorded in one transaction that removes it, so a process that is killed leaves whole parts behind, done or
to do. Whoever labels one of the pictures after the run was asked for has decided later, and keeps the last word.
"""

import time
from datetime import timedelta
from itertools import islice

from django.conf import settings
from django.contrib.auth.models import User
from django.db import transaction
from django.db.models import Q, QuerySet
from django.db.models.functions import Now
from django.utils import timezone

from catalog.models import Image
from classifier.labels.services import ReviewError, lock_images, refresh_product_labels
from classifier.ml.labels import GROUPS
from classifier.models import Review, ReviewPart, ReviewRun

State = ReviewRun.State
# Pictures of one part; their products' labels are locked for about a fifth of a second.
PART_SIZE = 500
# Parts that are written in one statement when a run starts, each about 4 kB.
PARTS_AT_ONCE = 100


def create_review_run(images: QuerySet[Image], *, group: str, reviewer: User, note: str = "") -> ReviewRun:
    """Save a run that gives each of the images this person's label, and what it has to do, in one transaction.

    A run over no images is done at once. Raises `ReviewError` for an unknown group; nothing is written.
    """
    if group not in GROUPS:
        raise ReviewError(f"Expected a group out of {', '.join(GROUPS)}; received {group!r}.")
    with transaction.atomic():
        run = ReviewRun.objects.create(group=group, note=note, requested_by=reviewer)
        ids = (
            images.order_by("pk").values_list("pk", flat=True).distinct().iterator(chunk_size=PARTS_AT_ONCE * PART_SIZE)
        )
        while several := list(islice(ids, PARTS_AT_ONCE * PART_SIZE)):
            starts = range(0, len(several), PART_SIZE)
            ReviewPart.objects.bulk_create(
                ReviewPart(run=run, image_ids=several[start : start + PART_SIZE]) for start in starts
            )
            run.total += len(several)
        if not run.total:
            run.state, run.finished_at = State.DONE, timezone.now()
        run.save(update_fields=["total", "state", "finished_at"])
    return run


def record_parts(run_id: int, *, seconds: float) -> bool:
    """Record parts of the run until there is none, or for so many seconds; return whether there is more to do."""
    end = time.monotonic() + seconds
    while has_more := record_next_part(run_id):
        if time.monotonic() >= end:
            break
    return has_more


def record_next_part(run_id: int) -> bool:
    """Record the label of the pictures of one part, in one transaction; return whether there is more to do here.

    There is nothing to do in a run that has ended, or that another process is at. Pictures that are gone, or that a
    person labelled after the run was asked for, are skipped and counted.
    """
    with transaction.atomic():
        running = ReviewRun.objects.filter(pk=run_id, state=State.RUNNING)
        run = running.select_for_update(skip_locked=True).first()
        if run is None:
            return False
        part = run.parts.order_by("pk").first()
        if part is not None:
            recorded = _record_reviews(run, image_ids=part.image_ids)
            run.done += recorded
            run.skipped += len(part.image_ids) - recorded
            part.delete()
        has_more = run.parts.exists()
        if not has_more:
            run.state, run.finished_at = State.DONE, timezone.now()
        run.sent_at = Now()
        run.save(update_fields=["done", "skipped", "state", "finished_at", "sent_at"])
    return has_more


def _record_reviews(run: ReviewRun, *, image_ids: list[int]) -> int:
    """Save the run's label for those of the images that may get it; return how many. Within a transaction."""
    lock_images(image_ids)
    decided_later = Review.objects.filter(image_id__in=image_ids, created_at__gt=run.created_at)
    images = Image.objects.filter(pk__in=image_ids).exclude(pk__in=decided_later.values("image_id"))
    ids = list(images.order_by("pk").values_list("pk", flat=True))
    # The person decided when they asked, which is what a later decision is told from.
    Review.objects.bulk_create(
        Review(image_id=pk, group=run.group, reviewer_id=run.requested_by_id, note=run.note, created_at=run.created_at)
        for pk in ids
    )
    refresh_product_labels(ids)
    return len(ids)


def cancel_review_run(run: ReviewRun) -> bool:
    """Cancel the run: what has its label keeps it, the rest gets none; return False if the run had ended already."""
    with transaction.atomic():
        running = ReviewRun.objects.filter(pk=run.pk, state=State.RUNNING)
        cancelled = running.update(state=State.CANCELLED, finished_at=Now())
        if cancelled:
            ReviewPart.objects.filter(run=run).delete()
    return bool(cancelled)


def take_review_runs_to_send(*, maximum: int) -> list[int]:
    """Mark running runs as sent whose message is lost, or was never sent, at most so many; return their ids."""
    lost_after = timedelta(seconds=settings.LABELLING_RESEND_SECONDS)
    with transaction.atomic():
        waiting = ReviewRun.objects.filter(Q(sent_at__isnull=True) | Q(sent_at__lt=Now() - lost_after))
        waiting = waiting.filter(state=State.RUNNING).select_for_update(skip_locked=True)
        ids = list(waiting.order_by("pk").values_list("pk", flat=True)[: max(maximum, 0)])
        ReviewRun.objects.filter(pk__in=ids).update(sent_at=Now())
    return ids

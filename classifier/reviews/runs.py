"""One label that a person gives to many pictures: what is to do stands in rows, and is done step by step.

A step is recorded in one transaction that removes its rows, so a process that is killed leaves whole steps behind, done
or to do. Whoever labels one of the pictures after the run was asked for has decided later, and keeps the last word.
"""

from django.db import transaction
from django.db.models.functions import Now

from catalog.models import Image
from classifier.labels.services import lock_images
from classifier.models import ImageToReview, Review, ReviewRun
from classifier.reviews.services import record_reviews

State = ReviewRun.State
# Pictures of one step; their products' labels are locked for about a fifth of a second.
STEP_SIZE = 500


def record_next_step(run_id: int) -> bool:
    """Record the label of the next pictures, in one transaction; return whether there is more to do here.

    There is nothing to do in a run that has ended, or that another process is at. Pictures that are gone, or that a
    person labelled after the run was asked for, are skipped and counted.
    """
    with transaction.atomic():
        running = ReviewRun.objects.filter(pk=run_id, state=State.RUNNING)
        run = running.select_for_update(skip_locked=True).first()
        if run is None:
            return False
        image_ids = list(run.selection.order_by("image_id").values_list("image_id", flat=True)[:STEP_SIZE])
        recorded = _record_reviews(run, image_ids=image_ids)
        run.selection.filter(image_id__in=image_ids).delete()
        run.done += recorded
        run.skipped += len(image_ids) - recorded
        has_more = run.selection.exists()
        if not has_more:
            run.state, run.finished_at = State.DONE, Now()
        run.sent_at = Now()
        run.save(update_fields=["done", "skipped", "state", "finished_at", "sent_at"])
    return has_more


def _record_reviews(run: ReviewRun, *, image_ids: list[int]) -> int:
    """Save the run's label for those of the images that may get it; return how many. Within a transaction."""
    lock_images(image_ids)
    decided_later = Review.objects.filter(image_id__in=image_ids, created_at__gt=run.created_at)
    images = Image.objects.filter(pk__in=image_ids).exclude(pk__in=decided_later.values("image_id"))
    # The person decided when they asked, which is what a later decision is told from.
    reviews = record_reviews(
        list(images.values_list("pk", flat=True)),
        group=run.group,
        reviewer_id=run.requested_by_id,
        note=run.note,
        run=run,
        created_at=run.created_at,
    )
    return len(reviews)


def cancel_review_run(run: ReviewRun) -> bool:
    """Cancel the run: what has its label keeps it, the rest gets none; return False if the run had ended already."""
    with transaction.atomic():
        running = ReviewRun.objects.filter(pk=run.pk, state=State.RUNNING)
        cancelled = running.update(state=State.CANCELLED, cancel_requested=True, finished_at=Now())
        if cancelled:
            ImageToReview.objects.filter(run=run).delete()
    return bool(cancelled)

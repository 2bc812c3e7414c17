"""One label that a person gives to many pictures: what is to do stands in rows, and is done step by step.

A step is recorded in one transaction that removes its rows, so a process that is killed leaves whole steps behind, done
or to do; so is one in which labels of the run are withdrawn. Whoever labels one of the pictures after the run was asked
for has decided later, and keeps the last word.
"""

from django.db import transaction
from django.db.models import QuerySet
from django.db.models.functions import Now

from classifier.models import ImageToReview, Review, ReviewRun
from classifier.reviews.services import record_reviews, withdraw_reviews
from config.db.statements import allow_long_statements

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
        # The person decided when they asked, which is what a later decision is told from.
        recorded = len(
            record_reviews(
                image_ids,
                verdict=run.verdict,
                group=run.group,
                reviewer_id=run.requested_by_id,
                note=run.note,
                run=run,
                decided_at=run.created_at,
            )
        )
        run.selection.filter(image_id__in=image_ids).delete()
        run.done += recorded
        run.skipped += len(image_ids) - recorded
        has_more = run.selection.exists()
        if not has_more:
            run.state, run.finished_at = State.DONE, Now()
        run.sent_at = Now()
        run.save(update_fields=["done", "skipped", "state", "finished_at", "sent_at"])
    return has_more


def cancel_review_run(run: ReviewRun) -> bool:
    """Cancel the run: what has its label keeps it, the rest gets none; return False if the run had ended already."""
    with allow_long_statements(), transaction.atomic():
        cancelled = ReviewRun.objects.filter(pk=run.pk).cancel()
        if cancelled:
            ImageToReview.objects.filter(run=run).delete()
    return bool(cancelled)


def do_next_step(run_id: int) -> bool:
    """Record, or withdraw, the labels of the next pictures of a run; return whether there is more to do here."""
    return record_next_step(run_id) or withdraw_next_step(run_id)


def list_given(run: ReviewRun) -> QuerySet[Review]:
    """Return the labels of a run that stand."""
    return Review.objects.standing().filter(run=run)


def withdraw_next_step(run_id: int) -> bool:
    """Withdraw the next labels of a run of which that was asked for, in one transaction; return whether there are more.

    There is nothing to do where another process is at it.
    """
    with transaction.atomic():
        asked = ReviewRun.objects.filter(pk=run_id, withdrawal_requested=True, withdrawn_at__isnull=True)
        run = asked.select_for_update(skip_locked=True).first()
        if run is None:
            return False
        ids = list(list_given(run).order_by("pk").values_list("pk", flat=True)[:STEP_SIZE])
        withdraw_reviews(Review.objects.filter(pk__in=ids))
        has_more = len(ids) == STEP_SIZE
        if not has_more:
            run.withdrawn_at = Now()
        run.sent_at = Now()
        run.save(update_fields=["withdrawn_at", "sent_at"])
    return has_more

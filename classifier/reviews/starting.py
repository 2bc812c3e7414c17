"""Start a run that gives many pictures one person's label, and its withdrawal; it is sent once that is committed."""

from django.contrib.auth.models import User
from django.db import transaction
from django.db.models import QuerySet

from catalog.models import Image
from classifier.models import ImageToReview, ReviewRun, Verdict
from classifier.reviews.runs import cancel_review_run, list_given, withdraw_next_step
from classifier.reviews.services import check_label
from classifier.reviews.tasks import record_reviews_task, send_review_runs
from classifier.runs.sending import send_run
from config.db.bulk import insert_chosen
from config.db.clock import get_database_time
from config.db.statements import allow_long_statements


@allow_long_statements()
def start_review_run(
    images: QuerySet[Image], *, group: str = "", verdict: str = Verdict.GROUP, reviewer: User, note: str = ""
) -> ReviewRun:
    """Start a run that gives each of the images this person's label; saved, and sent on commit.

    A worker records it in the background; a run over no images is done at once. Raises `ReviewError`, as
    `check_label` does; nothing is written.
    """
    check_label(group, verdict=verdict)
    with transaction.atomic():
        run = ReviewRun.objects.create(verdict=verdict, group=group, note=note, requested_by=reviewer)
        run.total = insert_chosen(ImageToReview, "image_id", run_id=run.pk, rows=images.order_by())
        if not run.total:
            run.state, run.finished_at = ReviewRun.State.DONE, get_database_time()
        run.save(update_fields=["total", "state", "finished_at"])
        transaction.on_commit(send_review_runs)
    return run


def withdraw_review_run(run: ReviewRun) -> int:
    """Cancel the run and withdraw all its labels as one; return how many of them stood.

    The first step is done here, and what is left by workers. A second time there is nothing to do.
    """
    number = list_given(run).count()
    with transaction.atomic():
        cancel_review_run(run)
        asked = ReviewRun.objects.filter(pk=run.pk)
        if not number:
            asked = asked.filter(withdrawn_at__isnull=True)
        asked.update(withdrawal_requested=True, withdrawn_at=None, sent_at=None)
    if withdraw_next_step(run.pk):
        send_run(run.pk, task=record_reviews_task)
    run.refresh_from_db()
    return number

"""Start a run that gives many pictures one person's label: create its rows, and send it once they are committed."""

from django.contrib.auth.models import User
from django.db import transaction
from django.db.models import QuerySet

from catalog.models import Image
from classifier.models import ReviewRun
from classifier.reviews.runs import create_review_run
from classifier.reviews.tasks import send_review_runs
from config.db.statements import allow_long_statements


@allow_long_statements()
def start_review_run(images: QuerySet[Image], *, group: str, reviewer: User, note: str = "") -> ReviewRun:
    """Start a run that gives each of the images this person's label; saved, and sent on commit.

    A worker records it in the background. Raises `ReviewError` for an unknown group; nothing is written.
    """
    with transaction.atomic():
        run = create_review_run(images, group=group, reviewer=reviewer, note=note)
        transaction.on_commit(send_review_runs)
    return run

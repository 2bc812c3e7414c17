"""The workers' own rounds of cleaning."""

import logging
from dataclasses import asdict
from datetime import timedelta
from typing import Any

from celery import shared_task
from django.conf import settings
from django.db.models.functions import Now

from catalog.pictures.storage import StorageError
from classifier.cleaning.rules import Figures, Terms
from classifier.cleaning.services import clean_next
from classifier.models import CleaningRun
from classifier.runs.sending import STEPS, carry_on, send_runs

logger = logging.getLogger(__name__)

State = CleaningRun.State


@shared_task(name="classifier.tasks.clean_task", **STEPS)
def clean_task(run_id: int, **_later: object) -> None:
    """Do steps of one round, then send what is left of it; where the storage is away the sweep sends it later."""
    try:
        carry_on(run_id, step=do_next_step, task=clean_task)
    except StorageError as error:
        logger.warning("cleaning is put off: %s", error)


def do_next_step(run_id: int) -> bool:
    """Do the round's next step; return whether there is another.

    A step may be done twice, but takes no round back: of two processes that are in one the slower leaves it.
    """
    run = CleaningRun.objects.filter(pk=run_id, state=State.RUNNING).first()
    if run is None:
        return False
    as_read = CleaningRun.objects.filter(pk=run_id, state=State.RUNNING, phase=run.phase, after=run.after)
    figures = Figures(**run.figures)
    terms = Terms(timedelta(days=settings.CLEAN_OLDER_THAN_DAYS))
    place = clean_next(run.phase, run.after, terms, figures)
    done: dict[str, Any] = {"figures": asdict(figures), "sent_at": Now(), "started_at": run.started_at or Now()}
    if place is None:
        done |= {"state": State.DONE, "finished_at": Now()}
    else:
        done |= {"phase": place[0], "after": place[1]}
    if not as_read.update(**done):
        return False
    if place is None:
        logger.info("cleaned: %s", figures.words)
    return place is not None


def send_cleaning_runs() -> int:
    """Start a round if it is time, and put one on the queue whose message is lost; return how many were sent."""
    if settings.CLEAN_EVERY_HOURS <= 0:
        return 0
    recent = CleaningRun.objects.filter(created_at__gt=Now() - timedelta(hours=settings.CLEAN_EVERY_HOURS))
    waiting = CleaningRun.objects.filter(state=State.RUNNING)
    if not waiting.exists() and not recent.exists():
        CleaningRun.objects.bulk_create([CleaningRun()], ignore_conflicts=True)
    return send_runs(waiting, task=clean_task)

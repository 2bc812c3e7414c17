"""Pictures by group in a folder or a bucket, kept up to date by runs that workers carry out."""

import logging
import time
from collections.abc import Callable
from contextlib import suppress
from datetime import timedelta
from typing import Any, Final

from celery import shared_task
from django.conf import settings
from django.contrib.auth.models import User
from django.core.files.storage import InvalidStorageError, storages
from django.db import IntegrityError, transaction
from django.db.models.functions import Coalesce, Now
from django.http import QueryDict
from rest_framework.exceptions import ValidationError

from catalog.interchange.exporting import ProductExportQuery, describe_refusals, list_exported_pictures
from catalog.interchange.picture_mirror import MirrorReport, update_pictures
from catalog.pictures.storage import StorageError
from classifier.models import OutputRun
from classifier.runs.sending import send_runs
from config.db.clock import get_database_time
from config.web.queries import check_parameters

logger = logging.getLogger(__name__)

State = OutputRun.State
STORAGE: Final = "outputs"
#: What an update has unless it is told otherwise: what is sure, or said by a person.
FILTERS: Final = "status=labelled&status=reviewed"
_FIGURES: Final = ("added", "moved", "removed", "kept", "missing")
#: How often a row says that its update goes on.
_BEAT_SECONDS: Final = 2.0


class OutputError(ValueError):
    """A storage or filters that are none; `field` is which."""

    def __init__(self, message: str, *, field: str) -> None:
        self.field = field
        super().__init__(message)


class OutputOpenError(Exception):
    """An update was asked for while another one of the same storage is running."""


class _OutputEndedError(Exception):
    """The run was cancelled, or another process carries it out."""


def list_storages() -> list[str]:
    """Return the names of the storages that outputs may go to: those that the product itself does not use."""
    return sorted(set(settings.STORAGES) - {"default", "staticfiles", "imports", "artefacts"})


def start_output_run(
    *, filters: str = FILTERS, storage: str = STORAGE, user: User | None = None, here: bool = False
) -> OutputRun:
    """Save an update, and send it to a worker on commit, or with `here` leave it to this process.

    Raises `OutputError` for what is not known, and `OutputOpenError` while one of the storage is running. With `here`
    one that nobody is at any more is cancelled: on a machine without workers nobody else goes on with it.
    """
    if storage not in list_storages():
        raise OutputError(f"expected one of {', '.join(list_storages())}, received {storage}", field="storage")
    _build_query(filters)
    try:
        with transaction.atomic():
            if here:
                seen_at = Coalesce("heartbeat_at", "sent_at", "created_at")
                silent = OutputRun.objects.alias(seen_at=seen_at).filter(
                    storage=storage, seen_at__lt=Now() - _lost_after()
                )
                silent.cancel(error="The process that carried it out stopped answering.")
            run = OutputRun.objects.create(
                storage=storage, filters=filters, requested_by=user, sent_at=Now() if here else None
            )
            if not here:
                transaction.on_commit(send_output_runs)
    except IntegrityError as error:
        raise OutputOpenError(f"Expected no other update of {storage}; one is running.") from error
    run.refresh_from_db()
    return run


def cancel_output_run(run: OutputRun) -> bool:
    """Cancel an update, which stops within seconds; return False if it had ended already."""
    return bool(OutputRun.objects.filter(pk=run.pk).cancel())


def carry_out_output_run(run_id: int, *, watch: Callable[[int], None] = lambda _products: None) -> None:
    """Carry out an update that no other process is at; `watch` is called with how many products were looked at.

    A storage that fails, or that the settings no longer have, ends it as failed, which its row says; after anything
    else that stops it, it is sent again. What was written is whole, and the next update goes on from there.
    """
    beat = _Beat(run_id)
    if not beat.claim():
        return
    run, report = OutputRun.objects.get(pk=run_id), MirrorReport()
    try:
        products, ordering = _build_query(run.filters).find_products()
        batches = list_exported_pictures(products, ordering=ordering)
        for _ in update_pictures(batches, target=storages[run.storage], report=report):
            watch(report.products)
            beat.renew(report)
        beat.end(report, state=State.DONE)
    except _OutputEndedError:
        logger.info("output run %s was ended", run_id)
    except (InvalidStorageError, OutputError, StorageError) as error:
        logger.warning("output run %s failed: %s", run_id, error)
        with suppress(_OutputEndedError):
            beat.end(report, state=State.FAILED, error=str(error))


class _Beat:
    """The sign of life of an update on its row; the last one is what says that this process carries it out."""

    def __init__(self, run_id: int) -> None:
        self.running = OutputRun.objects.filter(pk=run_id, state=State.RUNNING)
        self.at = get_database_time()
        self.beaten = time.monotonic()

    def claim(self) -> bool:
        """Take up the run; return False if it has ended, or another process is at it."""
        lost_at = self.at - _lost_after()
        silent = self.running.filter(heartbeat_at=None) | self.running.filter(heartbeat_at__lt=lost_at)
        return bool(silent.update(heartbeat_at=self.at, started_at=Coalesce("started_at", Now())))

    def renew(self, report: MirrorReport) -> None:
        """Say how far it is, now and then. Raises `_OutputEndedError` where it shall not go on."""
        if time.monotonic() - self.beaten < _BEAT_SECONDS:
            return
        now = get_database_time()
        self._write(report, heartbeat_at=now, sent_at=now)
        self.at, self.beaten = now, time.monotonic()

    def end(self, report: MirrorReport, **fields: Any) -> None:
        """Write the end."""
        figures = {name: getattr(report, name) for name in _FIGURES}
        self._write(report, total=report.products, figures=figures, finished_at=Now(), **fields)

    def _write(self, report: MirrorReport, **fields: Any) -> None:
        own = self.running.filter(heartbeat_at=self.at)
        if not own.update(done=report.products, failed=report.missing, **fields):
            raise _OutputEndedError


@shared_task(name="classifier.tasks.output_task", acks_late=False, reject_on_worker_lost=False)
def output_task(run_id: int, **_later: object) -> None:
    """Carry out one update."""
    carry_out_output_run(run_id)


def send_output_runs() -> int:
    """Start an update if it is time, and send those that no process is at; return how many were sent."""
    waiting = OutputRun.objects.filter(state=State.RUNNING)
    hours = settings.OUTPUT_EVERY_HOURS
    recent = OutputRun.objects.filter(storage=STORAGE, created_at__gt=Now() - timedelta(hours=hours))
    if hours > 0 and not recent.exists():
        OutputRun.objects.bulk_create([OutputRun(storage=STORAGE, filters=FILTERS)], ignore_conflicts=True)
    return send_runs(waiting, task=output_task)


def _lost_after() -> timedelta:
    return timedelta(seconds=settings.LABELLING_RESEND_SECONDS)


def _build_query(filters: str) -> ProductExportQuery:
    try:
        return check_parameters(ProductExportQuery, QueryDict(filters))
    except ValidationError as error:
        refused = [f"{name}: {text}" for name, text in describe_refusals(error).items()]
        raise OutputError("; ".join(refused), field="filters") from error

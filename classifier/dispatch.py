"""Start a run: create its rows and put them on the queue once they are committed; and the sweep that heals both."""

import logging
from functools import partial

from django.contrib.auth.models import User
from django.db import IntegrityError, transaction
from django.db.models import Exists, OuterRef, QuerySet
from django.db.models.functions import Now

from catalog.models import Image
from classifier import ledger, training_runs
from classifier.models import LabellingRun, LabelTask, TrainingRun
from classifier.selectors import get_active_model_version
from classifier.services import refresh_stale_product_labels
from classifier.tasks import send_due_batches, send_queued_training, send_review_runs
from config.statements import allow_long_statements

logger = logging.getLogger(__name__)

State = LabelTask.State
# Rows a run takes in one statement; 5,000 keeps a statement below SQLite's limit of parameters and memory small.
CHUNK_SIZE = 5000
MANY_BATCHES = 1000


class IdempotencyKeyError(ValueError):
    """A key that came with another request before."""


class TrainingOpenError(Exception):
    """An exclusive training was asked for while another one is queued or running."""


@allow_long_statements()
def start_labelling_run(
    *,
    images: QuerySet[Image] | None = None,
    relabel: bool = False,
    limit: int | None = None,
    user: User | None = None,
    idempotency_key: str | None = None,
) -> LabellingRun:
    """Start a run over `images` (None: all of them) with the active model version; saved, and sent on commit.

    It takes the pictures this version has not labelled yet, and those that wait for another try; with `relabel` those
    it has labelled too. Pictures that an open run holds are left to that run, and pictures it gave up to the error
    queue. A run that finds nothing to do is done at once. The same `idempotency_key` returns the same run; with another
    `relabel`, `limit` or user it raises `IdempotencyKeyError`. Raises `NoActiveModelVersionError`.
    """
    if idempotency_key is not None:
        known = _find_run_of_key(idempotency_key, relabel=relabel, limit=limit, user=user)
        if known is not None:
            return known
    version = get_active_model_version()
    refresh_stale_product_labels()
    with transaction.atomic():
        try:
            with transaction.atomic():
                run = LabellingRun.objects.create(
                    model_version=version,
                    relabel=relabel,
                    limit=limit,
                    requested_by=user,
                    idempotency_key=idempotency_key,
                )
        except IntegrityError:  # the same request came twice at once, and the other one was first
            known = _find_run_of_key(idempotency_key or "", relabel=relabel, limit=limit, user=user)
            if known is None:
                raise
            return known
        run.total = _take_again(run, images=images, relabel=relabel, limit=limit)
        run.total += _take_new(run, images=images, limit=None if limit is None else limit - run.total)
        run.save(update_fields=["total"])
        transaction.on_commit(partial(_send_run, run))
    return run


def _find_run_of_key(key: str, *, relabel: bool, limit: int | None, user: User | None) -> LabellingRun | None:
    """Return the run that this request started before, or None; raise `IdempotencyKeyError` if another one did."""
    run = LabellingRun.objects.filter(idempotency_key=key).first()
    if run is None:
        return None
    if (run.relabel, run.limit, run.requested_by_id) != (relabel, limit, user and user.pk):
        raise IdempotencyKeyError("Expected a new Idempotency-Key; this one came with another request before.")
    return run


def _send_run(run: LabellingRun) -> None:
    ledger.close_finished_runs({run.pk})
    send_due_batches(maximum=MANY_BATCHES)


def _take_again(run: LabellingRun, *, images: QuerySet[Image] | None, relabel: bool, limit: int | None) -> int:
    """Give the run those rows of the ledger that this version may do again; return how many."""
    states = [State.CANCELLED, State.RETRY, *([State.DONE, State.FAILED] if relabel else [])]
    open_runs = LabellingRun.objects.filter(state=LabellingRun.State.RUNNING)
    # No join: PostgreSQL then checks the state again on a row that another run took while this one waited for it.
    tasks = LabelTask.objects.filter(model_version=run.model_version, state__in=states).exclude(run__in=open_runs)
    if images is not None:
        tasks = tasks.filter(image__in=images.values("pk"))
    if limit is not None:
        tasks = tasks.filter(pk__in=list(tasks.order_by("image_id").values_list("pk", flat=True)[:limit]))
    return tasks.update(
        run=run,
        state=State.NEW,
        attempts=0,
        crashes=0,
        lease_token=None,
        lease_until=None,
        next_try_at=Now(),
        sent_at=None,
        error_code="",
        first_failed_at=None,
        last_failed_at=None,
    )


def _take_new(run: LabellingRun, *, images: QuerySet[Image] | None, limit: int | None) -> int:
    """Add a row to the ledger for each picture that has none for this version; return how many."""
    known = LabelTask.objects.filter(image=OuterRef("pk"), model_version=run.model_version)
    missing = Image.objects.filter(~Exists(known)).order_by("pk")
    if images is not None:
        missing = missing.filter(pk__in=images.values("pk"))
    taken, last = 0, 0
    while limit is None or taken < limit:
        size = CHUNK_SIZE if limit is None else min(CHUNK_SIZE, limit - taken)
        ids = list(missing.filter(pk__gt=last).values_list("pk", flat=True)[:size])
        if not ids:
            break
        last = ids[-1]
        LabelTask.objects.bulk_create(
            [LabelTask(image_id=pk, model_version=run.model_version, run=run) for pk in ids], ignore_conflicts=True
        )
        taken += len(ids)
    return LabelTask.objects.filter(run=run).count() - run.total if taken else 0


def start_training_run(
    *,
    recipe: str,
    seed: int,
    epochs: int | None = None,
    limit: int | None = None,
    activate: bool = False,
    user: User | None = None,
    exclusive: bool = False,
) -> TrainingRun:
    """Queue a training for a worker of the training queue; saved, and sent on commit.

    With `exclusive` it is refused while another training is queued or running: raises `TrainingOpenError`, and nothing
    is written. Of any number of such calls at once exactly one gets through.
    """
    open_runs = TrainingRun.objects.filter(state__in=[TrainingRun.State.QUEUED, TrainingRun.State.RUNNING])
    try:
        with transaction.atomic():
            if exclusive and (other := open_runs.first()) is not None:
                raise TrainingOpenError(f"Expected no open training; training run {other.pk} is {other.state}.")
            run = TrainingRun.objects.create(
                recipe=recipe,
                seed=seed,
                epochs=epochs,
                limit=limit,
                activate=activate,
                requested_by=user,
                exclusive=exclusive,
            )
            transaction.on_commit(send_queued_training)
    except IntegrityError as error:  # the partial unique index: another call at the same time was first
        raise TrainingOpenError("Expected no open training; another one was queued at the same time.") from error
    return run


def sweep() -> None:
    """Heal what messages and workers lost: expired leases, unsent or lost batches, runs left open, dead trainings.

    Harmless at any time and from any number of processes at once.
    """
    expired = ledger.sweep_expired_leases()
    sent = send_due_batches(maximum=MANY_BATCHES)
    closed = ledger.close_finished_runs()
    abandoned = training_runs.abandon_dead_training_runs()
    send_queued_training()
    send_review_runs()
    if expired or abandoned:
        logger.warning("swept %s expired leases, %s dead trainings; sent %s batches", expired, abandoned, sent)
    elif sent or closed:
        logger.debug("sent %s batches, closed %s runs", sent, closed)

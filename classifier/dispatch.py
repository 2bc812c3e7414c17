"""Start a run: create its rows and put them on the queue once they are committed; and the sweep that heals both."""

import logging
from functools import partial

from django.contrib.auth.models import User
from django.db import IntegrityError, transaction
from django.db.models import QuerySet

from catalog.models import Image
from classifier import ledger, training_runs
from classifier.models import LabellingRun, RunSelection, TrainingRun
from classifier.run_steps import do_run_steps, find_last_image_id, find_next_part, take_part
from classifier.selectors import get_active_model_version
from classifier.services import refresh_stale_labels_of
from classifier.tasks import send_due_batches, send_queued_training, send_review_runs
from config.statements import allow_long_statements

logger = logging.getLogger(__name__)

MANY_BATCHES = 1000
# What a sweep spends on runs that take their pictures or close their tasks: a worker's main process waits meanwhile.
STEPS_SECONDS = 1.0


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
    queue. The first pictures are taken here; a run over more than `CHUNK_SIZE` takes the others in steps, which workers
    do. A run that finds nothing to do is done when it has looked at the last one. The same `idempotency_key` returns
    the same run; with another `relabel`, `limit` or user it raises `IdempotencyKeyError`. Raises
    `NoActiveModelVersionError`.
    """
    if idempotency_key is not None:
        known = _find_run_of_key(idempotency_key, relabel=relabel, limit=limit, user=user)
        if known is not None:
            return known
    run = LabellingRun(
        model_version=get_active_model_version(),
        relabel=relabel,
        limit=limit,
        requested_by=user,
        idempotency_key=idempotency_key,
    )
    selected = None
    if images is None:
        run.takes_until = find_last_image_id()
    else:
        chosen = Image.objects.filter(pk__in=images.values("pk")).order_by("pk")
        selected = list(chosen.values_list("pk", flat=True))
        run.takes_until = selected[-1] if selected else 0
    part = find_next_part(run, selected=selected)
    refresh_stale_labels_of(part.image_ids)
    with transaction.atomic():
        try:
            with transaction.atomic():
                run.save()
        except IntegrityError:  # the same request came twice at once, and the other one was first
            known = _find_run_of_key(idempotency_key or "", relabel=relabel, limit=limit, user=user)
            if known is None:
                raise
            return known
        take_part(run, part)
        if run.is_taking and selected is not None:
            RunSelection.objects.create(run=run, image_ids=selected)
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

    Before it sends, it does steps of the runs that take their pictures, or close their tasks, for a second or so.
    Harmless at any time and from any number of processes at once.
    """
    expired = ledger.sweep_expired_leases()
    do_run_steps(seconds=STEPS_SECONDS)
    sent = send_due_batches(maximum=MANY_BATCHES)
    closed = ledger.close_finished_runs()
    abandoned = training_runs.abandon_dead_training_runs()
    send_queued_training()
    send_review_runs()
    if expired or abandoned:
        logger.warning("swept %s expired leases, %s dead trainings; sent %s batches", expired, abandoned, sent)
    elif sent or closed:
        logger.debug("sent %s batches, closed %s runs", sent, closed)

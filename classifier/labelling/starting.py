"""Start a labelling run: create its rows, and put them on the queue once they are committed."""

from functools import partial

from django.contrib.auth.models import User
from django.db import IntegrityError, transaction
from django.db.models import QuerySet

from catalog.models import Image
from classifier.labelling import ledger
from classifier.labelling.runs import find_last_image_id, find_next_step, take_step
from classifier.labelling.tasks import send_due_batches, send_taking_runs
from classifier.models import LabellingRun, SelectedImage
from classifier.registry.selectors import get_active_model_version
from config.db.bulk import insert_selection
from config.db.statements import allow_long_statements

MANY_BATCHES = 1000


class IdempotencyKeyError(ValueError):
    """A key that came with another request before."""


@allow_long_statements()
def start_labelling_run(
    *,
    images: QuerySet[Image] | None = None,
    relabel: bool = False,
    features_only: bool = False,
    limit: int | None = None,
    user: User | None = None,
    idempotency_key: str | None = None,
) -> LabellingRun:
    """Start a run over `images` (None: all of them) with the active model version; saved, and sent on commit.

    It takes the pictures this version has not labelled yet, and those that wait for another try; with `relabel` those
    it has labelled too, with `features_only` instead those that we hold and that have no features, and labels none.
    Pictures that an open run holds are left to that run, and pictures it gave up to the error
    queue. The first pictures are taken here; a run over more than `CHUNK_SIZE` takes the others in steps, which workers
    do. A run that finds nothing to do is done when it has looked at the last one. The same `idempotency_key` returns
    the same run; with another wish or user it raises `IdempotencyKeyError`. Raises
    `NoActiveModelVersionError`.
    """
    if idempotency_key is not None:
        known = _find_run_of_key(idempotency_key, asked=(relabel, features_only, limit), user=user)
        if known is not None:
            return known
    run = LabellingRun(
        model_version=get_active_model_version(),
        relabel=relabel,
        features_only=features_only,
        limit=limit,
        requested_by=user,
        idempotency_key=idempotency_key,
    )
    run.selected = images is not None
    run.takes_until = find_last_image_id()
    with transaction.atomic():
        try:
            with transaction.atomic():
                run.save()
        except IntegrityError:  # the same request came twice at once, and the other one was first
            known = _find_run_of_key(idempotency_key or "", asked=(relabel, features_only, limit), user=user)
            if known is None:
                raise
            return known
        if images is not None:
            insert_selection(SelectedImage, run_id=run.pk, images=images)
            last = run.selection.order_by("image_id").last()
            run.takes_until = last.image_id if last else 0
        take_step(run, find_next_step(run))
        transaction.on_commit(partial(_send_run, run))
    return run


def _find_run_of_key(key: str, *, asked: tuple[bool, bool, int | None], user: User | None) -> LabellingRun | None:
    """Return the run that this request started before, or None; raise `IdempotencyKeyError` if another one did."""
    run = LabellingRun.objects.filter(idempotency_key=key).first()
    if run is None:
        return None
    if (run.relabel, run.features_only, run.limit, run.requested_by_id) != (*asked, user and user.pk):
        raise IdempotencyKeyError("Expected a new Idempotency-Key; this one came with another request before.")
    return run


def _send_run(run: LabellingRun) -> None:
    ledger.close_finished_runs({run.pk})
    send_due_batches(maximum=MANY_BATCHES)
    send_taking_runs()

"""The ledger of labelling work: claim, finish, release, sweep.

The broker is a hint; the `LabelTask` row is the truth. A worker *claims* rows by writing a fresh lease token and
commits before it fetches anything. It *finishes* in one transaction that first finds which rows still carry its token
and writes labels for exactly those, so that a worker that was thought dead cannot write a second label. Rows whose
lease ran out are *swept*: given back with one crash more, and tried alone from then on. Whoever is seen to bring a
worker down alone is given up after three crashes; a worker that was merely killed, or is gone, proves nothing yet.
"""

import random
import uuid
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import timedelta
from itertools import pairwise
from typing import Any

from django.conf import settings
from django.db import transaction
from django.db.models import BigIntegerField, Case, DateTimeField, Exists, F, IntegerField, OuterRef, Q, Value, When
from django.db.models.fields.json import KT
from django.db.models.functions import Cast, Coalesce, Now

from catalog.models import StoredPicture
from catalog.pictures.storage import record_stored_pictures
from classifier.features.services import record_features
from classifier.labelling.classifications import record_classifications
from classifier.labelling.selectors import count_unsure, get_run_progress, list_error_counts
from classifier.labels.services import Why, lock_images, refresh_image_labels
from classifier.ml.types import Prediction
from classifier.models import LabellingRun, LabelTask, LabelTaskQuerySet

State = LabelTask.State

MAXIMUM_CRASHES = 3
# So many where nobody saw whose fault they were: a picture that needs more memory than there is looks like one that is
# in hand whenever somebody kills workers. From the second on it waits before the next one.
MAXIMUM_LOSSES = 6
# Tries that follow each other within an hour; later ones come once a day. What may pass is never given up.
QUICK_ATTEMPTS = 6
FIRST_RETRY_SECONDS = 30
LONGEST_RETRY_SECONDS = 3600
LATER_RETRY_SECONDS = 86_400
# A picture that waits for a machine or a storage waits as long again as it has waited already, within these bounds.
SHORTEST_WAIT_SECONDS = 30
LONGEST_WAIT_SECONDS = 300
# What a task keeps of what it was in an earlier run, and gets back when the run that took it over is cancelled.
FORMER_NUMBERS = {"run_id": BigIntegerField, "attempts": IntegerField, "crashes": IntegerField}
FORMER_TEXTS = ("state", "error_code")
FORMER_TIMES = ("next_try_at", "sent_at", "first_failed_at", "last_failed_at")
FORMER_FIELDS = (*FORMER_NUMBERS, *FORMER_TEXTS, *FORMER_TIMES)


@dataclass(frozen=True, slots=True)
class ClaimedBatch:
    """Tasks that one worker holds under one lease token, of one or more runs; images and stored pictures loaded."""

    token: uuid.UUID
    tasks: list[LabelTask]


@dataclass(frozen=True, slots=True)
class Labelled:
    """A picture that was read, its row not saved yet, what the classifier said, and what was measured of the pixels."""

    picture: StoredPicture
    prediction: Prediction
    statistics: bytes | None = None


@dataclass(frozen=True, slots=True)
class Failed:
    """A picture that gave no label: a code of the contract, and whether trying again can help."""

    code: str
    retryable: bool = False
    retry_after_seconds: float | None = None


@dataclass(frozen=True, slots=True)
class PutOff:
    """A picture of which nothing is known through no fault of its own; `code` says whose, empty for nobody's."""

    code: str = ""


@dataclass(frozen=True, slots=True)
class Suspected:
    """A picture whose own decoding or inference failed as none should: it is tried alone, and given up in the end."""


Outcome = Labelled | Failed | PutOff | Suspected


def claim_tasks(task_ids: Sequence[int], *, token: uuid.UUID | None = None) -> ClaimedBatch:
    """Take a lease on those of the tasks that are due, and return them; none of a run that is cancelled.

    A picture that was in a crash before is claimed only when it comes alone, so that it cannot take others down. A
    claim whose answer was lost is repeated with the same `token`, which must be a fresh one for each batch.
    """
    token = token or uuid.uuid4()
    claimable = LabelTask.objects.due().filter(pk__in=task_ids)
    if len(task_ids) > 1:
        claimable = claimable.filter(crashes=0)
    claimable.update(
        state=State.RUNNING,
        lease_token=token,
        lease_until=Now() + timedelta(seconds=settings.LABELLING_LEASE_SECONDS),
        attempts=F("attempts") + 1,
    )
    held = LabelTask.objects.filter(lease_token=token).select_related("image__stored_picture", "model_version", "run")
    # The version's metrics are kilobytes of JSON, which would be read once for each picture and are not needed.
    return ClaimedBatch(token=token, tasks=list(held.defer("model_version__metrics").order_by("pk")))


def finish_tasks(batch: ClaimedBatch, outcomes: Sequence[Outcome]) -> int:
    """Write the outcome of each task of the batch, in one transaction, for those it still holds.

    `outcomes` are in the order of `batch.tasks`. Pictures, what was said of them, task states and product labels are
    written together or not at all; suspects go back after that. A person's label stays whatever the machine says. A
    task that is gone with its image is passed over. Returns how many were held and are not merely put off.
    """
    with transaction.atomic():
        held = set(_list_held(batch).select_for_update().order_by("pk").values_list("pk", flat=True))
        finished = [(t, o) for t, o in zip(batch.tasks, outcomes, strict=True) if t.pk in held]
        image_ids = [task.image_id for task, _ in finished]
        lock_images(image_ids)
        _record_labelled([(task, o) for task, o in finished if isinstance(o, Labelled)])
        _record_failed([(task, o) for task, o in finished if isinstance(o, Failed)])
        put_off = [(task, o) for task, o in finished if isinstance(o, PutOff)]
        _record_put_off(put_off)
        refresh_image_labels(image_ids, why=Why.CLASSIFIED)
    suspected = [task.pk for task, o in finished if isinstance(o, Suspected)]
    if suspected:
        _give_back_crashed(_list_held(batch).filter(pk__in=suspected), most=MAXIMUM_CRASHES)
    close_finished_runs({task.run_id for task in batch.tasks})
    return len(finished) - len(put_off)


def _list_held(batch: ClaimedBatch) -> LabelTaskQuerySet:
    return LabelTask.objects.filter(lease_token=batch.token, state=State.RUNNING)


def _record_labelled(finished: list[tuple[LabelTask, Labelled]]) -> None:
    labelled = [(task, o) for task, o in finished if not task.run.features_only]
    # A shadow changes no picture that is held: the label of the version in production would go with it.
    unheld = [o.picture for task, o in labelled if not (task.run.shadow and task.image.picture is not None)]
    record_stored_pictures(unheld)
    record_classifications(
        (task.image_id, task.model_version_id, task.run_id, outcome.picture.sha256, outcome.prediction)
        for task, outcome in labelled
    )
    record_features(
        (task.model_version.base_id, outcome.picture.sha256, outcome.prediction.features, outcome.statistics)
        for task, outcome in finished
    )
    LabelTask.objects.filter(pk__in=[task.pk for task, _ in finished]).update(
        state=State.DONE, lease_token=None, lease_until=None, error_code="", former=None, waits_for=""
    )


def _record_failed(finished: list[tuple[LabelTask, Failed]]) -> None:
    """Set the state of tasks that failed; one update for each code and delay rather than for each task."""
    together: dict[tuple[str, float | None], list[int]] = defaultdict(list)
    for task, outcome in finished:
        together[outcome.code, _retry_delay(task, outcome)].append(task.pk)
    for (code, delay), task_ids in together.items():
        # What it was before stays until there is a result: the try that is left may be cancelled.
        result = {"state": State.FAILED, "former": None} if delay is None else {"state": State.RETRY}
        LabelTask.objects.filter(pk__in=task_ids).update(
            **result,
            next_try_at=Now() if delay is None else Now() + timedelta(seconds=delay),
            lease_token=None,
            lease_until=None,
            sent_at=None,
            error_code=code,
            first_failed_at=_first_failure(),
            last_failed_at=Now(),
            waits_for="",
        )


def _first_failure() -> Case:
    """Since when it fails: not from before it was done the last time."""
    return Case(When(error_code="", then=Now()), default=Coalesce("first_failed_at", Now()))


def _retry_delay(task: LabelTask, outcome: Failed) -> float | None:
    """Seconds until the next try, or None if there shall be none.

    Four times longer each time up to an hour, a day in the end, and spread by a fifth so that a host that fell over is
    not met by all its pictures at once. A host's own `Retry-After` is honoured when it asks for longer.
    """
    if not outcome.retryable:
        return None
    delay: float = LATER_RETRY_SECONDS
    if task.attempts < QUICK_ATTEMPTS:
        delay = min(LONGEST_RETRY_SECONDS, FIRST_RETRY_SECONDS * 4 ** (task.attempts - 1))
    spread = random.uniform(0.8, 1.2)  # noqa: S311 (no secret depends on it)
    return max(delay * spread, outcome.retry_after_seconds or 0.0)


def release_tasks(batch: ClaimedBatch, *, code: str = "") -> int:
    """Give back the tasks that the batch still holds; the try does not count, and nobody is to blame. Return how many.

    At once after a graceful stop; for a little later where `code` says what they wait for.
    """
    delay = max((_wait_seconds(task, code) for task in batch.tasks), default=0.0)
    return _give_back(_list_held(batch), code=code, delay=delay)


def _record_put_off(finished: list[tuple[LabelTask, PutOff]]) -> None:
    """Give back tasks that are put off; one update for each code and delay."""
    together: dict[tuple[str, float], list[int]] = defaultdict(list)
    for task, outcome in finished:
        together[outcome.code, _wait_seconds(task, outcome.code)].append(task.pk)
    for (code, delay), task_ids in together.items():
        _give_back(LabelTask.objects.filter(pk__in=task_ids), code=code, delay=delay)


def _give_back(tasks: LabelTaskQuerySet, *, code: str, delay: float) -> int:
    """Make claimed tasks what they were before, due in `delay` seconds; return how many.

    One that has failed in this run waits for another try again, and keeps no run open.
    """
    is_new = Q(error_code="") | Q(former__isnull=False)
    return tasks.update(
        state=Case(When(is_new, then=Value(State.NEW)), default=Value(State.RETRY)),
        lease_token=None,
        lease_until=None,
        sent_at=None,
        attempts=F("attempts") - 1,
        next_try_at=Now() + timedelta(seconds=delay),
        waits_for=code,
        waits_since=Case(When(waits_for=code, then=Coalesce("waits_since", Now())), default=Now()),
    )


def _wait_seconds(task: LabelTask, code: str) -> float:
    """Seconds until the next try of a claimed task that is put off; at once where it waits for nothing."""
    if not code:
        return 0.0
    waited = 0.0
    if task.waits_for == code and task.waits_since is not None and task.lease_until is not None:
        # Until it was claimed, by the database's clock.
        waited = (task.lease_until - task.waits_since).total_seconds() - settings.LABELLING_LEASE_SECONDS
    return min(max(waited, SHORTEST_WAIT_SECONDS), LONGEST_WAIT_SECONDS)


def give_back_lost_tasks(task_ids: Sequence[int], *, by_own_fault: bool) -> int:
    """Give back those of the tasks that are being worked on, each with one crash more; return how many.

    For the worker that sees its child die with a message in hand, and whether of what it worked on. If another worker
    holds some of them (the message came twice) that one is fenced off and they are done again.
    """
    most = MAXIMUM_CRASHES if by_own_fault and len(task_ids) == 1 else MAXIMUM_LOSSES
    return _give_back_crashed(LabelTask.objects.filter(pk__in=task_ids, state=State.RUNNING), most=most)


def sweep_expired_leases() -> int:
    """Give back the tasks whose lease ran out, each with one crash more; return how many there were."""
    return _give_back_crashed(LabelTask.objects.lease_expired(), most=MAXIMUM_LOSSES)


def _give_back_crashed(tasks: LabelTaskQuerySet, *, most: int) -> int:
    """Count a crash for each task: back to work, or given up with `worker_crash` when it was the last one allowed."""
    with transaction.atomic():
        found = list(
            tasks.select_for_update(skip_locked=True).order_by("pk").values_list("pk", "crashes", "image_id", "run_id")
        )
        given_up = [row for row in found if row[1] + 1 >= most]
        again = [pk for pk, crashes, _, _ in found if crashes + 1 < most]
        back = {"crashes": F("crashes") + 1, "lease_token": None, "lease_until": None, "sent_at": None}
        LabelTask.objects.filter(pk__in=again).update(state=State.NEW, **back)
        for crashes in {row[1] for row in found if row[1] and most == MAXIMUM_LOSSES}:
            LabelTask.objects.filter(pk__in=again, crashes=crashes + 1).update(
                next_try_at=Now() + timedelta(seconds=_loss_delay(crashes)), waits_for="worker_error", waits_since=Now()
            )
        cancelled_runs = LabellingRun.objects.filter(state=LabellingRun.State.CANCELLED)
        close_tasks(LabelTask.objects.filter(pk__in=again, run__in=cancelled_runs))
        LabelTask.objects.filter(pk__in=[row[0] for row in given_up]).update(
            state=State.FAILED,
            error_code="worker_crash",
            first_failed_at=_first_failure(),
            last_failed_at=Now(),
            former=None,
            waits_for="",
            **back,
        )
        image_ids = [image_id for _, _, image_id, _ in given_up]
        lock_images(image_ids)
        refresh_image_labels(image_ids, why=Why.CLASSIFIED)
    close_finished_runs({run_id for _, _, _, run_id in given_up})
    return len(found)


def _loss_delay(crashes: int) -> float:
    """Seconds until a picture is tried again that was in so many crashes before its worker was lost once more."""
    return min(SHORTEST_WAIT_SECONDS * 4 ** (crashes - 1), LONGEST_WAIT_SECONDS)


def close_tasks(tasks: LabelTaskQuerySet) -> int:
    """Close tasks of a cancelled run that nobody has in hand; return how many. Within a transaction.

    One that was something before this run is that again: done in an earlier run, given up, or ignored.
    """
    held = tasks.select_for_update(skip_locked=True, no_key=True).values_list("pk", "image_id", "error_code")
    rows = list(held)
    closed = LabelTask.objects.filter(pk__in=[pk for pk, _, _ in rows])
    closed.update(waits_for="")
    closed.filter(former__isnull=True).update(state=State.CANCELLED, sent_at=None, error_code="")
    closed.filter(former__isnull=False).update(
        **{name: Cast(KT(f"former__{name}"), kind()) for name, kind in FORMER_NUMBERS.items()},
        **{name: KT(f"former__{name}") for name in FORMER_TEXTS},
        **{name: _TimeOfText(KT(f"former__{name}")) for name in FORMER_TIMES},
        former=None,
    )
    image_ids = [image_id for _, image_id, code in rows if code]
    lock_images(image_ids)
    refresh_image_labels(image_ids, why=Why.CANCELLED)
    return len(rows)


class _TimeOfText(Cast):
    """A time, or none, that was written into JSON. SQLite has it as text anyway, and would cut it to milliseconds."""

    def __init__(self, text: Any) -> None:
        super().__init__(text, DateTimeField())

    def as_sqlite(self, compiler: Any, connection: Any, **_: Any) -> Any:
        """Return the text; none is the word `null` there."""
        sql, parameters = compiler.compile(self.source_expressions[0])
        return f"NULLIF({sql}, 'null')", parameters


def take_batches_to_send(
    *, maximum: int, lost_after_seconds: float, first_batch_size: int | None = None
) -> list[list[int]]:
    """Mark due tasks as sent and return their ids in batches for one message each; at most `maximum` batches.

    Tasks that were sent less than `lost_after_seconds` ago are on their way still. Pictures that were in a crash travel
    alone; the first of the other batches has `first_batch_size` of them at most, where that is said.
    """
    size = settings.LABELLING_BATCH_SIZE
    unsent = LabelTask.objects.due().unsent(resend_after=timedelta(seconds=lost_after_seconds))
    with transaction.atomic():
        # In the order of the index of open tasks, so that the cost does not grow with what waits behind.
        waiting = unsent.select_for_update(skip_locked=True).order_by("next_try_at", "pk")
        rows = list(waiting.values_list("pk", "crashes")[: max(maximum, 0) * size])
        together = [pk for pk, crashes in rows if not crashes]
        batches = [[pk] for pk, crashes in rows if crashes]
        ends = [0, *range(min(first_batch_size or size, size), len(together), size), len(together)]
        batches += [together[start:end] for start, end in pairwise(ends) if start < end]
        batches = batches[:maximum]
        LabelTask.objects.filter(pk__in=[pk for batch in batches for pk in batch]).update(sent_at=Now())
    return batches


def close_finished_runs(run_ids: set[int] | None = None) -> int:
    """Mark running runs that have no open task as done (all of them, or those given); return how many.

    A run that has not taken all its pictures stays open. In a statement of its own after a batch was committed, so that
    the last of two workers sees the other's end.
    """
    runs = LabellingRun.objects.filter(state=LabellingRun.State.RUNNING, taken_until__gte=F("takes_until"))
    if run_ids is not None:
        runs = runs.filter(pk__in=[run_id for run_id in run_ids if not _has_open_task(run_id)])
    open_tasks = LabelTask.objects.open().filter(run=OuterRef("pk"))
    ended = 0
    for run_id in runs.filter(~Exists(open_tasks)).order_by("pk").values_list("pk", flat=True):
        with transaction.atomic():
            run = runs.filter(~Exists(open_tasks)).select_for_update(skip_locked=True, no_key=True).filter(pk=run_id)
            for row in run:
                end_run(row, LabellingRun.State.DONE)
                ended += 1
    return ended


def end_run(run: LabellingRun, state: str) -> None:
    """Write on a run that has come to rest what it did; its figures are its own from then on.

    What waits for another try is that for good: nobody can cancel the run any more.
    """
    LabelTask.objects.filter(run=run, state=State.RETRY, former__isnull=False).update(former=None)
    progress = get_run_progress(run)
    run.state, run.closing, run.finished_at = state, False, run.finished_at or Now()
    run.done, run.failed = progress.done, progress.failed + progress.waiting
    run.figures = {"progress": asdict(progress), "unsure": count_unsure(run), "codes": list_error_counts(run)}
    run.save(update_fields=["state", "closing", "finished_at", "done", "failed", "figures"])


def _has_open_task(run_id: int) -> bool:
    """Whether the run has work left, as a look at the front of the index of open tasks.

    The order makes PostgreSQL use that index. Without it each batch of a run of 500,000 pictures, in a ledger of
    1,000,000 rows, spent 25 ms on this question; with it the time does not depend on the ledger.
    """
    front = LabelTask.objects.open().filter(run=run_id).order_by("next_try_at", "pk")
    return front.values_list("pk", flat=True).first() is not None

"""A labelling run's own work, in steps: it takes its pictures when it is started, and closes its tasks when cancelled.

A step is one transaction over CHUNK_SIZE pictures at most. The run's row says how far the steps have come and is
written in the same transaction, so a step that was killed is done again and none is done twice. Whoever starts or
cancels a run does its first step; workers and waiting commands do the others, any number of them at once.
"""

import logging
import time
from collections.abc import Sequence
from dataclasses import dataclass

from django.db import Error, transaction
from django.db.models import F, Q
from django.db.models.functions import JSONObject, Now

from catalog.models import Image, ProductImages, StoredPicture
from classifier.labelling import ledger
from classifier.labelling.classifications import find_seen_images, label_from_features
from classifier.labels.facts import find_held_hashes
from classifier.labels.services import refresh_statistics
from classifier.models import Classification, LabellingRun, LabellingRunQuerySet, LabelTask, LabelTaskQuerySet
from config.db.statements import allow_long_statements

logger = logging.getLogger(__name__)

State = LabelTask.State
# Pictures that a step looks at. Whoever cancels a run waits for a step that is being done: one of 5,000 new tasks took
# 0.4 s of processor time, and 11 s on a machine with six times as much to do as it has processors.
CHUNK_SIZE = 2000


@dataclass(frozen=True, slots=True)
class Step:
    """Images that a run looks at together, in the order of their ids.

    `until` is how far the run has come with them. `own` finds the rows about them in other tables.
    """

    image_ids: Sequence[int]
    until: int
    own: Q


def find_last_image_id() -> int:
    """Return the id of the newest image, 0 without any."""
    return Image.objects.order_by("-pk").values_list("pk", flat=True).first() or 0


def find_next_step(run: LabellingRun) -> Step:
    """Return the images that the run looks at next.

    The condition is a range where it can be one: joined with the whole ledger, as without it, 5,000 of 200,000 pictures
    took PostgreSQL 300 to 400 ms instead of 1 to 3.
    """
    ahead = Q(image_id__gt=run.taken_until, image_id__lte=run.takes_until)
    if not run.selected:
        # Pictures that no product shows are not looked at: the index of placements is walked, in their order.
        shown = ProductImages.objects.filter(ahead).order_by("image_id").values_list("image_id", flat=True)
        image_ids = list(shown.distinct()[:CHUNK_SIZE])
        until = image_ids[-1] if len(image_ids) == CHUNK_SIZE else run.takes_until
        return Step(image_ids, until=until, own=Q(image__gt=run.taken_until, image__lte=until))
    chosen = run.selection.filter(ahead).order_by("image_id").values_list("image_id", flat=True)
    image_ids = list(chosen[:CHUNK_SIZE])
    until = image_ids[-1] if len(image_ids) == CHUNK_SIZE else run.takes_until
    # One that was deleted since it was chosen can have no task: the database would refuse the step for ever.
    image_ids = list(Image.objects.filter(pk__in=image_ids).order_by("pk").values_list("pk", flat=True))
    return Step(image_ids, until=until, own=Q(image__in=image_ids))


def take_step(run: LabellingRun, step: Step) -> int:
    """Give the run those pictures of the step that it may label, and save how far it has come; return how many.

    These are pictures that its version has not classified as we hold them now, and those that wait for another try;
    with `relabel` classified and failed ones too. Of them those that never had a task are labelled here, as far as
    their features are known. With `features_only` it takes what we hold and has no features. Pictures that another open
    run holds stay with it. Call it in a transaction that holds the run's row.
    """
    known = LabelTask.objects.filter(step.own, model_version=run.model_version_id)
    wanted = _find_wanted(run, step)
    repeated = dict(_may_be_repeated(known, run, wanted=wanted).values_list("image_id", "pk"))
    # The range has images that the run does not look at as well.
    again = {image_id: repeated[image_id] for image_id in step.image_ids if image_id in repeated}
    missing = set(wanted) - set(known.values_list("image_id", flat=True))
    chosen = sorted({*again, *missing})
    run.taken_until = step.until
    if run.limit is not None and len(chosen) > (left := run.limit - run.total):
        chosen = chosen[:left]
        run.taken_until = chosen[-1]
    task_ids = [again[image_id] for image_id in chosen if image_id in again]
    _repeat(_may_be_repeated(known, run, wanted=wanted).filter(pk__in=task_ids), run)
    new = [image_id for image_id in chosen if image_id not in again]
    labelled, said = ([], set()) if run.relabel or run.features_only else label_from_features(run, new)
    LabelTask.objects.bulk_create(
        [
            LabelTask(image_id=image_id, model_version_id=run.model_version_id, run=run)
            for image_id in sorted(set(new).difference(labelled, said))
        ],
        ignore_conflicts=True,  # another run may have been first
    )
    taken = known.filter(run=run).count() + len(labelled)
    run.total += taken
    run.from_features += len(labelled)
    if run.limit is not None and run.total >= run.limit:
        run.takes_until = run.taken_until
    run.save(update_fields=["total", "from_features", "taken_until", "takes_until"])
    if run.selected:
        looked_at = Q(image_id__lte=run.taken_until) if run.is_taking else Q()
        run.selection.filter(looked_at).delete()
    return taken


def _find_wanted(run: LabellingRun, step: Step) -> Sequence[int]:
    """Return the images of the step that the run may take, whatever became of them before."""
    if run.relabel:
        return step.image_ids
    if run.features_only:
        held = find_held_hashes(step.image_ids)
        return sorted(set(held).difference(find_seen_images(run, step.image_ids)))
    return _find_outdated(run, step)


def _find_outdated(run: LabellingRun, step: Step) -> list[int]:
    """Return the images of the step whose picture, as we hold it now, the run's version has not classified."""
    pictures = StoredPicture.objects.filter(step.own, url=F("image__url")).values_list("image_id", "sha256")
    said = Classification.objects.filter(step.own, model_version=run.model_version_id)
    classified = set(said.order_by().values_list("image_id", "sha256")).intersection(pictures)
    return sorted(set(step.image_ids) - {image_id for image_id, _ in classified})


def _may_be_repeated(tasks: LabelTaskQuerySet, run: LabellingRun, *, wanted: Sequence[int]) -> LabelTaskQuerySet:
    """Return those of the tasks that the run may do again; a task that is done if its image is one of `wanted`.

    No join: PostgreSQL then checks the state again on a row that another run took while this one waited for it.
    """
    states = [State.CANCELLED, State.RETRY, *([State.DONE, State.FAILED] if run.relabel else [])]
    closing = LabellingRun.objects.closing().order_by().values("pk")
    open_runs = LabellingRun.objects.filter(state=LabellingRun.State.RUNNING).order_by().values("pk")
    may = Q(state__in=states) | Q(state=State.NEW, run__in=closing)
    if run.features_only:
        may = Q(state__in=[State.CANCELLED, State.DONE], image__in=wanted)
    elif wanted and not run.relabel:
        may |= Q(state=State.DONE, image__in=wanted)
    return tasks.filter(may).exclude(run__in=open_runs)


def _repeat(tasks: LabelTaskQuerySet, run: LabellingRun) -> None:
    """Give the run these tasks, as far as it still may have them; each keeps what it was until it has a new result."""
    was_something = tasks.filter(former__isnull=True).exclude(state=State.NEW)
    was_something.update(former=JSONObject(**{name: F(name) for name in ledger.FORMER_FIELDS}))
    tasks.update(
        run=run,
        state=State.NEW,
        attempts=0,
        crashes=0,
        lease_token=None,
        lease_until=None,
        next_try_at=Now(),
        sent_at=None,
        waits_for="",
    )


def take_next_step(run_id: int) -> bool:
    """Do the run's next step of taking pictures; return False if it has none, or somebody else is doing it."""
    run = LabellingRun.objects.taking().filter(pk=run_id).first()
    if run is None:
        return False
    step = find_next_step(run)
    with transaction.atomic():
        # No key: whoever writes a row that points to the run does not wait.
        held = LabellingRun.objects.taking().select_for_update(skip_locked=True, no_key=True)
        run = held.filter(pk=run_id, taken_until=run.taken_until).first()
        if run is None:
            return False
        before = run.from_features
        taken = take_step(run, step)
    refresh_statistics(before=before, changed=run.from_features)
    if not run.is_taking:
        ledger.close_finished_runs({run_id})
    logger.debug("labelling run %s took %s pictures up to image %s", run_id, taken, run.taken_until)
    return True


def label_next_step(run_id: int) -> bool:
    """Do the run's next step of taking pictures; return whether it labelled some from features, and has more to do."""
    taking = LabellingRun.objects.taking().filter(pk=run_id)
    before = taking.values_list("from_features", flat=True).first()
    return take_next_step(run_id) and taking.filter(from_features__gt=before).exists()


def request_cancel(runs: LabellingRunQuerySet) -> int:
    """Let nobody begin any more tasks of those of the runs that have not ended; steps close them. Return how many."""
    return runs.cancel(closing=True, takes_until=F("taken_until"))


def cancel_labelling_run(run: LabellingRun) -> bool:
    """Cancel the run: from now on nobody begins any of its tasks; return False if it had ended already.

    What workers have in hand is finished. The other tasks are closed in steps, the first one here.
    """
    with allow_long_statements():
        cancelled = request_cancel(LabellingRun.objects.filter(pk=run.pk))
    if cancelled:
        with allow_long_statements():
            close_next_tasks(run.pk)
    return bool(cancelled)


def close_next_tasks(run_id: int) -> bool:
    """Do a cancelled run's next step of closing tasks; return False if there is none for now.

    The run is closing until no worker has a task of it in hand: that may come back, to be done or tried again.
    """
    with transaction.atomic():
        held = LabellingRun.objects.closing().select_for_update(skip_locked=True, no_key=True)
        run = held.filter(pk=run_id).first()
        if run is None:
            return False
        waiting = LabelTask.objects.filter(run=run_id, state__in=[State.NEW, State.RETRY])
        closed = ledger.close_tasks(waiting.filter(pk__in=list(waiting.values_list("pk", flat=True)[:CHUNK_SIZE])))
        left = LabelTask.objects.filter(run=run_id, state__in=[State.NEW, State.RETRY, State.RUNNING])
        if closed < CHUNK_SIZE and not left.exists():
            ledger.end_run(run, LabellingRun.State.CANCELLED)
            run.selection.all().delete()
    return bool(closed)


def do_run_steps(*, seconds: float = 0.0) -> int:
    """Do one step of each closing run and of the oldest run that takes pictures; return how many steps were done.

    Then again, until nothing is left or the seconds are over. A step that the database refuses is done later.
    """
    done, ends_at = 0, time.monotonic() + seconds
    while True:
        closing = list(LabellingRun.objects.closing().order_by("pk").values_list("pk", flat=True))
        taking = list(LabellingRun.objects.taking().order_by("pk").values_list("pk", flat=True)[:1])
        try:
            steps = sum(close_next_tasks(run_id) for run_id in closing) + sum(take_next_step(pk) for pk in taking)
        except Error as error:
            logger.warning("a step of a labelling run is put off: %s", error)
            return done
        done += steps
        if not steps or time.monotonic() >= ends_at:
            return done

"""How far a labelling run is, how fast it goes and whether it moves; counted now and then, however many watch it."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import datetime, timedelta
from time import time
from typing import Any

from django.conf import settings
from django.core.cache import cache
from django.db.models.functions import Now
from django.utils import timezone

from classifier.labelling.errors import get_error_words
from classifier.labelling.pace import HostPace, estimate_hosts
from classifier.labelling.selectors import (
    LATEST_FAILURE_FIRST,
    RunProgress,
    count_unsure,
    get_run_progress,
    list_error_counts,
    list_errors,
    list_waits,
)
from classifier.models import Classification, LabellingRun, LabelTask
from classifier.runs.pages import get_run_count

State = LabelTask.State

# The rate is that of the last minute, as far as somebody watched.
RATE_SECONDS = 60.0
SHORTEST_RATE_SECONDS = 5.0
# A run of which nothing was begun or finished for so long is shown as stalled.
STALLED_SECONDS = 180
SHOWN_ERRORS = 5
# The newest labels, of whatever run, among which one of this run is looked for.
NEWEST_LABELS = 1000


@dataclass(frozen=True, slots=True)
class RunReport:
    """A run's tasks by state, those of the done ones that it was not sure of, its pace, and its failures.

    `taken` are the pictures that it took, `taking` says whether there will be more: the time left is unknown then.
    `rate` is in pictures per second and, like `seconds_left`, None while it is unknown. `errors` are the latest ones
    that stand in the error queue, `failures` how many do and are not ignored, and `retried` how many pictures are tried
    again after the end of the run, whose own figures do not change any more. `ahead` is the run whose work comes first
    while this one waits. `waits` are (code, pictures, since when) of what keeps pictures waiting that are not to blame.
    `hosts` hold the run up, whatever the workers could do.
    """

    progress: RunProgress
    taken: int
    taking: bool
    unsure: int
    rate: float | None
    seconds_left: float | None
    stalled: bool
    ahead: int | None
    codes: Sequence[tuple[str, int]]
    errors: Sequence[dict[str, Any]]
    failures: int = 0
    retried: int = 0
    waits: Sequence[tuple[str, int, datetime]] = ()
    hosts: Sequence[HostPace] = ()

    @property
    def reasons(self) -> list[tuple[str, str]]:
        """A sentence and a code for each thing that pictures wait for."""
        return [
            (
                f"{number:,} {'picture has' if number == 1 else 'pictures have'} waited since "
                f"{at:%-d %b %Y, %H:%M} UTC: {get_error_words(code)}. What waits is tried again by itself.",
                code,
            )
            for code, number, at in self.waits
        ]


def get_run_report(run: LabellingRun) -> RunReport:
    """Return the run's report, some seconds old at most on a small ledger and longer where counting takes long."""
    counted = get_run_count(
        _key(run),
        count=lambda known: _count(run, samples=known["samples"] if known else []),
        # A count from before an update may lack what was added since.
        is_current=lambda known: (
            (known["state"], known.get("taking"), "hosts" in known) == (run.state, run.is_taking, True)
        ),
    )
    return _build_report(run, counted)


def forget_run_report(run: LabellingRun) -> None:
    """Let the next report be counted anew, after somebody changed the run's tasks."""
    cache.delete(_key(run))


def find_rate(samples: Sequence[Sequence[float]], *, age_seconds: float, finished: int) -> float | None:
    """Return the pictures per second of the samples' last minute, or of the whole run when they span too little.

    A sample is a time and how many pictures were finished then. None when nothing was finished.
    """
    if samples:
        recent = [sample for sample in samples if sample[0] >= samples[-1][0] - RATE_SECONDS]
        seconds = recent[-1][0] - recent[0][0]
        if seconds >= SHORTEST_RATE_SECONDS:
            rate = (recent[-1][1] - recent[0][1]) / seconds
            return rate if rate > 0 else None
    return finished / age_seconds if finished > 0 and age_seconds > 0 else None


def _key(run: LabellingRun) -> str:
    return f"labelling-run-{run.pk}"


def _count(run: LabellingRun, *, samples: list[list[float]]) -> dict[str, Any]:
    """Return what a report is built of, as JSON knows it."""
    progress = get_run_progress(run)
    tasks = LabelTask.objects.filter(run=run)
    has_failed = progress.failed + progress.waiting > 0
    is_open = run.figures is None and progress.new + progress.running + progress.waiting > 0
    latest = list_errors(run=run.pk).order_by(*LATEST_FAILURE_FIRST.order_by(reverse=False))
    moves = run.state != LabellingRun.State.RUNNING or _has_moved(run)
    now = time()
    recent = [sample for sample in samples if sample[0] > now - 2 * RATE_SECONDS]
    return {
        "state": run.state,
        "taking": run.is_taking,
        "taken": run.total,
        "progress": asdict(progress),
        "unsure": known["unsure"] if (known := run.figures) else count_unsure(run),
        "codes": known["codes"] if known else list_error_counts(run) if has_failed else [],
        "errors": [_describe(task) for task in latest[:SHOWN_ERRORS]] if has_failed else [],
        "failures": tasks.filter(state__in=[State.RETRY, State.FAILED]).count() if has_failed else 0,
        "retried": tasks.filter(state__in=[State.RETRY, State.RUNNING]).count() if known and has_failed else 0,
        "waits": [(code, number, at.isoformat()) for code, number, at in list_waits(run)] if is_open else [],
        "hosts": [asdict(pace) for pace in estimate_hosts(run)] if run.state == LabellingRun.State.RUNNING else [],
        "stalled": not moves,
        "ahead": None if moves else _find_run_ahead(run),
        "samples": [*recent, [now, progress.finished]],
    }


def _describe(task: LabelTask) -> dict[str, Any]:
    return {"task": task.pk, "image": task.image_id, "code": task.error_code, "url": task.image.url}


def _build_report(run: LabellingRun, counted: dict[str, Any]) -> RunReport:
    progress = RunProgress(**counted["progress"])
    rate = find_rate(counted["samples"], age_seconds=get_elapsed_seconds(run), finished=progress.finished)
    left = progress.total - progress.finished
    return RunReport(
        progress=progress,
        taken=counted["taken"],
        taking=counted["taking"],
        unsure=counted["unsure"],
        rate=rate,
        seconds_left=left / rate if rate and left and not counted["taking"] else None,
        stalled=counted["stalled"],
        ahead=counted["ahead"],
        waits=[(code, number, datetime.fromisoformat(at)) for code, number, at in counted["waits"]],
        hosts=[HostPace(**pace) for pace in counted["hosts"]],
        codes=[(code, number) for code, number in counted["codes"]],
        errors=counted["errors"],
        failures=counted["failures"],
        retried=counted["retried"],
    )


def get_elapsed_seconds(run: LabellingRun) -> float:
    """Return the seconds since the run was started, until its end if it has ended."""
    return ((run.finished_at or timezone.now()) - run.created_at).total_seconds()


def _has_moved(run: LabellingRun) -> bool:
    """Whether something of the run was begun or finished lately, in at most five cheap queries.

    There is no index of the times at which pictures were labelled. The newest labels are looked at instead: when none
    of them is of this run, the workers are busy elsewhere.
    """
    recently = Now() - timedelta(seconds=STALLED_SECONDS)
    if LabellingRun.objects.filter(pk=run.pk, created_at__gt=recently).exists():
        return True
    claimed = Now() - timedelta(seconds=STALLED_SECONDS - settings.LABELLING_LEASE_SECONDS)
    if LabelTask.objects.filter(run=run, state=LabelTask.State.RUNNING, lease_until__gt=claimed).exists():
        return True
    if LabelTask.objects.errors().filter(run=run, last_failed_at__gt=recently).exists():
        return True
    newest = Classification.objects.order_by("-pk").values_list("pk", flat=True).first() or 0
    labels = Classification.objects.filter(run=run, pk__gt=newest - NEWEST_LABELS)
    return labels.filter(created_at__gt=recently).exists()


def _find_run_ahead(run: LabellingRun) -> int | None:
    earlier = LabellingRun.objects.filter(state=LabellingRun.State.RUNNING, pk__lt=run.pk)
    return earlier.order_by("pk").values_list("pk", flat=True).first()

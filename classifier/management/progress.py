"""Waiting for a labelling run as a command does: show its progress, and sweep meanwhile."""

import time
from collections.abc import Callable

from django.conf import settings

from classifier.labelling.reports import get_run_report
from classifier.models import LabellingRun
from classifier.worker.sweep import sweep
from config.console import ProgressReport

POLL_SECONDS = 0.25
# Said once when nothing moved for so long: what the run waits for, or that most likely no worker is running.
PATIENCE_SECONDS = 20.0


class WorkerEndedError(Exception):
    """The worker that was to do the run has ended; the run goes on when another one is started."""


def wait_for_run(
    run: LabellingRun,
    *,
    report: ProgressReport,
    is_alive: Callable[[], bool] = lambda: True,
    poll_seconds: float = POLL_SECONDS,
) -> None:
    """Return once the run has ended, showing its progress meanwhile.

    Sweeps every LABELLING_SWEEP_SECONDS, so that lost messages are sent again even while no worker's timer does; and
    all the time while the run takes its pictures, which is a part of that. `is_alive` says meanwhile whether the
    caller's own worker still runs; raises `WorkerEndedError` when it does not.
    """
    swept_at = time.monotonic()
    moved_at, finished, warned = swept_at, -1, False
    while True:
        run.refresh_from_db()
        known = get_run_report(run)
        progress = known.progress
        now = time.monotonic()
        if progress.finished != finished:
            moved_at, finished = now, progress.finished
        rate = progress.finished / report.seconds if report.seconds else 0.0
        note = f"{rate:.0f} a second, {progress.failed} failed{', takes more pictures' if run.is_taking else ''}"
        report.update(progress.finished, progress.total, note=note)
        if run.state != LabellingRun.State.RUNNING:
            return
        if not is_alive():
            raise WorkerEndedError
        if now - moved_at > PATIENCE_SECONDS and report.enabled and not warned:
            warned = True
            reasons = [sentence for sentence, _ in known.reasons] or [
                "Is a worker running? Start one: celery -A config worker -Q labelling"
            ]
            report.console.print(" ".join([f"Nothing happened for {PATIENCE_SECONDS:.0f} seconds.", *reasons]))
        if run.is_taking or now - swept_at >= settings.LABELLING_SWEEP_SECONDS:
            swept_at = now
            sweep()
        time.sleep(poll_seconds)

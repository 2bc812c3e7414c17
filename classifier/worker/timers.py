"""The worker's timers: the sweep, the canaries, and what texts are right about; all in its main process.

Not a queued task: behind 200 labelling messages on the file broker such a task did not run once in 20 s.
"""

import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any

from celery import bootsteps
from django.db import Error, connections

from config.db.troubles import explain
from config.packages import describe_missing_tensorflow

logger = logging.getLogger(__name__)

PRECISION_SECONDS = 3600.0
ALIVE_SECONDS = 10.0


class TimerStep(bootsteps.StartStopStep):
    """Calls something again and again for as long as the worker lives."""

    requires = ("celery.worker.components:Timer",)
    entry: Any = None

    def stop(self, parent: Any) -> None:
        """Stop the timer."""
        if self.entry is not None:
            self.entry.cancel()


class AliveStep(TimerStep):
    """Touches WORKER_ALIVE_FILE, which is as old as the main process has been silent; for health checks."""

    def start(self, parent: Any) -> None:
        """Start the timer, and touch it at once."""
        from django.conf import settings

        if settings.WORKER_ALIVE_FILE:
            path = Path(settings.WORKER_ALIVE_FILE)
            path.touch()
            self.entry = parent.timer.call_repeatedly(ALIVE_SECONDS, path.touch)


class LackStep(TimerStep):
    """Says at the start of a training worker what it cannot do."""

    def start(self, parent: Any) -> None:
        """Look for TensorFlow, without importing it."""
        lack = describe_missing_tensorflow()
        if lack and "training" in parent.app.amqp.queues.consume_from:
            logger.warning("%s Heads are trained without it.", lack)


class SweepStep(TimerStep):
    """Runs `classifier.worker.sweep.sweep` every LABELLING_SWEEP_SECONDS."""

    def start(self, parent: Any) -> None:
        """Start the timer."""
        from django.conf import settings

        self.entry = parent.timer.call_repeatedly(settings.LABELLING_SWEEP_SECONDS, sweep_once)


class PrecisionStep(TimerStep):
    """Estimates how often a country's texts are right, once an hour."""

    def start(self, parent: Any) -> None:
        """Start the timer."""
        refresh_precisions_once()
        self.entry = parent.timer.call_repeatedly(PRECISION_SECONDS, refresh_precisions_once)


class CanaryStep(TimerStep):
    """Sends canaries through the queues that this worker serves.

    Only these: a queue that nobody serves is for whoever watches it to miss, and would fill with canaries.
    """

    def start(self, parent: Any) -> None:
        """Start the timer, and send the first ones."""
        from django.conf import settings

        queues = sorted(parent.app.amqp.queues.consume_from)
        send_canaries_once(queues)
        self.entry = parent.timer.call_repeatedly(settings.CANARY_SECONDS, send_canaries_once, (queues,))


def sweep_once() -> None:
    """Sweep."""
    from classifier.worker.sweep import sweep

    call_once(sweep, missed="sweep skipped")


def refresh_precisions_once() -> None:
    """Estimate how often texts are right."""
    from classifier.labels.precision import refresh_precisions

    call_once(refresh_precisions, missed="texts were not judged")


def send_canaries_once(queues: list[str]) -> None:
    """Send the canaries that are due."""
    from classifier.worker.canaries import send_canaries

    call_once(send_canaries, queues, missed="no canary was sent")


def call_once(work: Callable[..., object], *arguments: Any, missed: str) -> None:
    """Do the work, and leave no connection open that a child forked later would share.

    A database that is down is logged and met again at the next tick; the worker goes on.
    """
    try:
        work(*arguments)
    except Error as error:
        logger.warning("%s: %s", missed, explain(error))
    finally:
        connections.close_all()

"""The worker's timer that runs the sweep in its main process.

Not a queued task: behind 200 labelling messages on the file broker such a task did not run once in 20 s.
"""

import logging
from typing import Any

from celery import bootsteps
from django.db import Error, connections

logger = logging.getLogger(__name__)


class SweepStep(bootsteps.StartStopStep):
    """Runs `classifier.dispatch.sweep` every LABELLING_SWEEP_SECONDS for as long as the worker lives."""

    requires = ("celery.worker.components:Timer",)

    def __init__(self, parent: Any, **options: Any) -> None:
        super().__init__(parent, **options)
        self.entry: Any = None

    def start(self, parent: Any) -> None:
        """Start the timer."""
        from django.conf import settings

        self.entry = parent.timer.call_repeatedly(settings.LABELLING_SWEEP_SECONDS, sweep_once)

    def stop(self, parent: Any) -> None:
        """Stop the timer."""
        if self.entry is not None:
            self.entry.cancel()


def sweep_once() -> None:
    """Sweep, and leave no connection open that a child forked later would share.

    A database that is down is logged and met again at the next tick; the worker goes on.
    """
    from classifier.dispatch import sweep

    try:
        sweep()
    except Error as error:
        logger.warning("sweep skipped, database not reachable: %s", error)
    finally:
        connections.close_all()

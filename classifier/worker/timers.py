"""The worker's timers: the sweep and the canaries, both in its main process.

Not a queued task: behind 200 labelling messages on the file broker such a task did not run once in 20 s.
"""

import logging
from typing import Any

from celery import bootsteps
from django.db import Error, connections

logger = logging.getLogger(__name__)


class SweepStep(bootsteps.StartStopStep):
    """Runs `classifier.worker.sweep.sweep` every LABELLING_SWEEP_SECONDS for as long as the worker lives."""

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
    from classifier.worker.sweep import sweep

    try:
        sweep()
    except Error as error:
        logger.warning("sweep skipped, database not reachable: %s", error)
    finally:
        connections.close_all()


class CanaryStep(bootsteps.StartStopStep):
    """Sends canaries through the queues that this worker serves, for as long as it lives.

    Only these: a queue that nobody serves is for whoever watches it to miss, and would fill with canaries.
    """

    requires = ("celery.worker.components:Timer",)

    def __init__(self, parent: Any, **options: Any) -> None:
        super().__init__(parent, **options)
        self.entry: Any = None

    def start(self, parent: Any) -> None:
        """Start the timer, and send the first ones."""
        from django.conf import settings

        queues = sorted(parent.app.amqp.queues.consume_from)
        send_canaries_once(queues)
        self.entry = parent.timer.call_repeatedly(settings.CANARY_SECONDS, send_canaries_once, (queues,))

    def stop(self, parent: Any) -> None:
        """Stop the timer."""
        if self.entry is not None:
            self.entry.cancel()


def send_canaries_once(queues: list[str]) -> None:
    """Send the canaries that are due; a database that is down is logged and met again at the next tick."""
    from classifier.worker.tasks import send_canaries

    try:
        send_canaries(queues)
    except Error as error:
        logger.warning("no canary was sent, database not reachable: %s", error)
    finally:
        connections.close_all()

"""How a worker stops at SIGQUIT: at once when it has nothing in hand, else when that is done or its time is over."""

import os
import signal
import threading
from typing import Any

from celery import bootsteps, platforms
from celery.apps.worker import REMAP_SIGTERM, install_worker_term_hard_handler  # type: ignore[attr-defined]
from celery.worker import state


class StopStep(bootsteps.StartStopStep):
    """Lets SIGQUIT stop the worker as SIGTERM does, and give back what it still has in hand after a while.

    Celery's own soft shutdown sleeps its whole time in the main process, which then cannot see that the work is done.
    """

    def start(self, parent: Any) -> None:
        """Take the signal's handler over from Celery, which has set its own by now."""
        from django.conf import settings

        def stop_softly(*_arguments: object) -> None:
            if os.getpid() != main:  # a child, which has inherited this and is stopped by the main process
                return
            # The next one, the operator's or the timer's, is Celery's: what is in hand is cancelled.
            for name in names:
                install_worker_term_hard_handler(parent, sig=name)
            timer = threading.Timer(settings.WORKER_SOFT_SHUTDOWN_SECONDS, os.kill, (main, signal.SIGQUIT))
            timer.daemon = True
            timer.start()
            state.should_stop = 0  # type: ignore[assignment]  # the exit status

        main = os.getpid()
        names = ["SIGQUIT", *(["SIGTERM"] if REMAP_SIGTERM == "SIGQUIT" else [])]
        for name in names:
            platforms.signals[name] = stop_softly

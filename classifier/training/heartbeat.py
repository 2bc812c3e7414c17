"""The sign of life of a training: a thread that renews the row's heartbeat while the process lives.

Progress is no sign of life by itself: a training may load, compile or save for minutes without a word.
"""

import logging
import threading
import time
from types import TracebackType

from django.conf import settings
from django.db import Error, connection
from django.db.models.functions import Now

from classifier.models import TrainingRun

logger = logging.getLogger(__name__)

# Beats within the time after which a training without one counts as dead: a few may fail on a busy database.
BEATS_PER_LIFETIME = 6


class TrainingHeartbeat:
    """Renews the heartbeat of a running training from its own thread and database connection while the block runs.

    It ends with the process, with the block, when the run is not running any more, and when no progress was noted for
    TRAINING_SILENCE_SECONDS: a process that lives and does nothing is given up like a dead one.
    """

    def __init__(self, run: TrainingRun) -> None:
        self.run = run
        self.progressed_at = time.monotonic()
        self._ended = threading.Event()
        # A daemon: a training that ends in an error nobody caught does not keep the process.
        self._thread = threading.Thread(target=self._beat_until_ended, name=f"heartbeat-{run.pk}", daemon=True)

    def __enter__(self) -> "TrainingHeartbeat":
        """Start the thread."""
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        """End the thread and wait until its connection is closed."""
        self._ended.set()
        self._thread.join()

    def note_progress(self) -> None:
        """Take note that the training does something."""
        self.progressed_at = time.monotonic()

    def _beat_until_ended(self) -> None:
        interval = settings.TRAINING_HEARTBEAT_SECONDS / BEATS_PER_LIFETIME
        try:
            while not self._ended.wait(interval):
                if time.monotonic() - self.progressed_at > settings.TRAINING_SILENCE_SECONDS:
                    logger.error("training run %s made no progress for too long and counts as dead", self.run.pk)
                    return
                if not self._beat():
                    return
        finally:
            connection.close()

    def _beat(self) -> bool:
        """Renew the heartbeat; return whether the run goes on, as far as the database says."""
        running = TrainingRun.objects.filter(pk=self.run.pk, state=TrainingRun.State.RUNNING)
        try:
            return bool(running.update(heartbeat_at=Now()))
        except Error as error:  # away, or locked by another writer: the next beat comes soon
            logger.warning("no heartbeat for training run %s: %s", self.run.pk, error)
            connection.close()
            return True

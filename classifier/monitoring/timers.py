"""The worker's timer that looks for drift."""

from typing import Any

from classifier.worker.timers import TimerStep, call_once

DRIFT_SECONDS = 3600.0


class DriftStep(TimerStep):
    """Compares the pictures of late once an hour, if there are new ones enough; no stored label depends on it."""

    def start(self, parent: Any) -> None:
        """Start the timer."""
        self.entry = parent.timer.call_repeatedly(DRIFT_SECONDS, check_drift_once)


def check_drift_once() -> None:
    """Check for drift if it is time."""
    from classifier.monitoring.services import check_drift_when_due

    call_once(check_drift_when_due, missed="drift was not checked")

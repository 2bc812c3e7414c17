"""How far a training is, how long it still takes, and whether it still answers."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from django.utils.text import capfirst

from classifier.models import TrainingRun

# A training that reports nothing for so long is shown as silent; its heartbeat says whether it lives.
SILENT_SECONDS = 180
# Epochs whose pace is that of the ones to come.
RECENT_EPOCHS = 3


def describe_phase(progress: Mapping[str, Any]) -> str:
    """Return what a training is doing, in words, and in which of its epochs."""
    phase = capfirst(progress.get("phase") or "Starting")
    epochs = progress.get("epochs")
    return f"{phase}, epoch {progress.get('epoch', '')} of {epochs}" if epochs else phase


def find_share(progress: Mapping[str, Any]) -> float | None:
    """Return how much of its epochs a training has done, 0 to 1, or None while it has none."""
    epochs, steps = progress.get("epochs"), progress.get("steps")
    if not epochs or not steps:
        return None
    share: float = (progress["epoch"] - 1 + progress["step"] / steps) / epochs
    return share


def find_seconds_left(progress: Mapping[str, Any]) -> float | None:
    """Return the seconds that the epochs still take at the pace of the last ones, or None before the first one ended.

    A training may stop earlier, when it does not get better any more.
    """
    seconds = [row["seconds"] for row in progress.get("history", []) if "seconds" in row][-RECENT_EPOCHS:]
    if not seconds or progress.get("phase") != "train" or not progress.get("steps"):
        return None
    epochs: float = progress["epochs"] - progress["epoch"] + 1 - progress["step"] / progress["steps"]
    return epochs * sum(seconds) / len(seconds)


def find_silent_seconds(run: TrainingRun, *, now: datetime) -> float | None:
    """Return the seconds since a running training last reported something, or None if it is not running."""
    if run.state != TrainingRun.State.RUNNING or run.started_at is None:
        return None
    reported = run.progress.get("reported_at")
    return (now - (datetime.fromisoformat(reported) if reported else run.started_at)).total_seconds()

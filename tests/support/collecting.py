"""Trainings that are cancelled while they collect pictures."""

import pytest

from classifier.ml.types import TrainingProgress
from classifier.training import runs
from classifier.training.runs import cancel_training_run, carry_out_training
from classifier.training.starting import start_training_run


def cancel_at_the_third_report(recipe: str, monkeypatch: pytest.MonkeyPatch) -> tuple[str, list[str]]:
    """Train, and cancel when it has reported three times; return what became of it, and what it reported."""
    monkeypatch.setattr(runs, "PROGRESS_SECONDS", 0.0)
    run = start_training_run(here=True, recipe=recipe, seed=1)
    reported: list[str] = []

    def watch(progress: TrainingProgress) -> None:
        reported.append(progress.phase)
        if len(reported) == 3:
            cancel_training_run(run)

    carry_out_training(run, watch=watch)
    run.refresh_from_db()
    return run.state, reported

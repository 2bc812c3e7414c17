"""What a worker shows of itself: a file for health checks, and at its start what it lacks."""

from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from classifier.worker.timers import ALIVE_SECONDS, AliveStep, LackStep
from config import packages


class Timer:
    """Keeps what is to be called, for a test to call."""

    def __init__(self) -> None:
        self.calls: list[tuple[float, Callable[[], Any]]] = []

    def call_repeatedly(self, seconds: float, work: Callable[[], Any]) -> SimpleNamespace:
        self.calls.append((seconds, work))
        return SimpleNamespace(cancel=self.calls.clear)


@pytest.fixture
def worker() -> SimpleNamespace:
    queues = SimpleNamespace(consume_from={"training": None})
    return SimpleNamespace(timer=Timer(), app=SimpleNamespace(amqp=SimpleNamespace(queues=queues)), steps=[])


def test_a_worker_touches_its_file_while_it_lives(worker: SimpleNamespace, settings, tmp_path: Path) -> None:
    file = tmp_path / "alive"
    settings.WORKER_ALIVE_FILE = str(file)
    step = AliveStep(worker)
    step.start(worker)
    assert file.exists()
    file.unlink()
    ((seconds, touch),) = worker.timer.calls
    touch()
    assert file.exists()
    assert seconds == ALIVE_SECONDS
    step.stop(worker)
    assert not worker.timer.calls


def test_without_a_name_there_is_no_file(worker: SimpleNamespace, settings) -> None:
    settings.WORKER_ALIVE_FILE = ""
    step = AliveStep(worker)
    step.start(worker)
    step.stop(worker)
    assert not worker.timer.calls


@pytest.mark.parametrize("queue, said", [("training", True), ("labelling", False)])
def test_a_training_worker_says_at_its_start_that_it_cannot_train_networks(
    worker: SimpleNamespace, monkeypatch, caplog: pytest.LogCaptureFixture, queue: str, said: bool
) -> None:
    monkeypatch.setattr(packages, "find_spec", lambda name: None)
    worker.app.amqp.queues.consume_from = {queue: None}
    LackStep(worker).start(worker)
    assert ("pip install -r requirements.txt" in caplog.text) == said

"""Labelling runs whose steps are two pictures, so that a few pictures are many steps."""

import pytest

from classifier.labelling import runs as labelling_runs
from classifier.models import LabellingRun
from tests.support.factories import create_image


@pytest.fixture(autouse=True)
def small_steps(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let a step take, or close, two pictures; for every test of a module that imports this."""
    monkeypatch.setattr(labelling_runs, "CHUNK_SIZE", 2)


def create_images(number: int) -> list[int]:
    """Create images and return their ids, rising."""
    return [create_image().pk for _ in range(number)]


def list_taken(run: LabellingRun) -> list[int]:
    """Return the ids of the images that the run has tasks for, rising."""
    return sorted(run.tasks.values_list("image_id", flat=True))

"""A real worker process on the run's own database and broker."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path

import pytest
import redis
from django.conf import settings as django_settings
from django.core.management import call_command
from django.test import Client

from catalog.models import Image, ProductLabel
from classifier.labelling.starting import start_labelling_run
from classifier.ml.data.dataset import DatasetError, load_fashion_mnist
from classifier.models import (
    AdoptionRun,
    Classification,
    LabellingRun,
    LabelTask,
    QueueCanary,
    Review,
    ReviewRun,
    TrainingRun,
)
from classifier.registry.services import register_model_version
from classifier.reviews.starting import start_review_run
from classifier.training.starting import start_training_run
from tests.support.artefacts import bring_into_production, create_artefact_twin, register_active_version
from tests.support.factories import create_product
from tests.support.fakes import create_painted_image, create_stored_image
from tests.support.forks import Fork, fork
from tests.support.members import create_member
from tests.support.servers import get_test_database_url
from tests.support.small_data_worker import TEST_PICTURES

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.processes]
PATIENCE_SECONDS = 120.0
SMALL_DATA_WORKER = "tests.support.small_data_worker"


@pytest.fixture(autouse=True)
def artefacts_folder(settings, tmp_path: Path) -> None:
    settings.ARTEFACTS_DIR = tmp_path / "artefacts"


@contextmanager
def worker(queues: str, *, log: Path, program: str = "celery", **variables: str) -> Iterator[Fork]:
    """Run a Celery worker for a queue, or some, on the test database."""
    environment = {
        **os.environ,
        "DJANGO_SETTINGS_MODULE": "config.settings.test",
        "DATABASE_URL": get_test_database_url(),
        "MEDIA_ROOT": str(django_settings.MEDIA_ROOT),
        "ARTEFACTS_DIR": str(django_settings.ARTEFACTS_DIR),
        **variables,
    }
    options = ("-A", "config", "worker", "-Q", queues, "-c", "1", "-n", "worker@test")
    process = fork("-m", program, *options, output=log, env=environment)
    try:
        yield process
    finally:
        process.terminate()
        try:
            process.wait(timeout=20)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)


def wait_until(condition: Callable[[], bool], *, log: Path, seconds: float = PATIENCE_SECONDS) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, log.read_text()
        time.sleep(0.1)


@pytest.mark.timeout(300)
@pytest.mark.postgresql
@pytest.mark.redis
def test_a_worker_does_what_messages_and_its_timer_tell_it(
    tmp_path: Path, client: Client, capsys: pytest.CaptureFixture[str]
) -> None:
    first, second = register_active_version(), register_model_version(create_artefact_twin(tmp_path / "twin"))
    reviewer, log = create_member("add_review"), tmp_path / "log"
    for _ in range(3):
        create_product(images=[create_painted_image()])
    reviewed = Image.objects.filter(pk__in=list(Image.objects.values_list("pk", flat=True)))
    # Of these two runs no message speaks: the timer finds them, and puts the second on the queue of steps.
    unsent, lost = start_labelling_run(), start_review_run(reviewed, group="Bags", reviewer=reviewer)
    redis.Redis.from_url(django_settings.REDIS_URL).flushdb()
    LabelTask.objects.update(sent_at=None)
    ReviewRun.objects.update(sent_at=None)

    def wait_until_labelled(run: LabellingRun) -> None:
        wait_until(lambda: LabellingRun.objects.get(pk=run.pk).state == LabellingRun.State.DONE, log=log)

    def wait_until_reviewed(run: ReviewRun) -> None:
        wait_until(lambda: ReviewRun.objects.get(pk=run.pk).state == ReviewRun.State.DONE, log=log)

    with worker("labelling,steps", log=log, STEPS_QUEUE="steps") as process:
        wait_until_labelled(unsent)
        wait_until_reviewed(lost)
        assert Classification.objects.filter(run=unsent).count() == Classification.objects.count() == 3
        # A run of reviews goes over the former one.
        wait_until_reviewed(start_review_run(reviewed, group="Footwear", reviewer=reviewer))
        assert Review.objects.count() == 6
        assert set(ProductLabel.objects.values_list("group", "source")) == {("Footwear", "person")}
        # More than one batch, with a picture that is none; then everything once more.
        for _ in range(40):
            create_product(images=[create_painted_image()])
        create_product(images=[create_stored_image(b"no picture")])
        wait_until_labelled(run := start_labelling_run())
        assert Classification.objects.filter(run=run).count() == 40
        assert list(LabelTask.objects.errors().values_list("error_code", flat=True)) == ["not_image"]
        call_command("label_catalog", "--wait", "--relabel")
        assert "44 pictures, 43 labelled, 1 failed" in capsys.readouterr().out
        assert Classification.objects.count() == 3 + 40 + 43
        assert set(Classification.objects.values_list("model_version", flat=True)) == {first.pk}
        # An activation meets the worker that is there, and the next run is the new version's.
        bring_into_production(second)
        adoption = AdoptionRun.objects.get(model_version=second)
        wait_until(lambda: AdoptionRun.objects.get(pk=adoption.pk).state == "done", log=log)
        create_product(images=[create_painted_image()])
        wait_until_labelled(run := start_labelling_run())
        assert set(Classification.objects.filter(run=run).values_list("model_version", flat=True)) == {second.pk}
        wait_until(lambda: not QueueCanary.objects.filter(done_at=None).exists(), log=log)
        assert process.poll() is None
    # Shown with -s, since a busy machine may take its time.
    adoption = AdoptionRun.objects.select_related("model_version").get(pk=adoption.pk)
    assert adoption.started_at is not None
    assert adoption.model_version.activated_at is not None
    seen = adoption.started_at - adoption.model_version.activated_at
    sys.stderr.write(f"an activation reached the worker after {seen.total_seconds() * 1000:.0f} ms\n")
    assert seen < timedelta(seconds=PATIENCE_SECONDS)
    kept = Classification.objects.values_list("model_version_id", "run__model_version_id").distinct().order_by()
    assert set(kept) == {(first.pk, first.pk), (second.pk, second.pk)}
    checks = {"labelling": "ok", "steps": "ok"}
    assert client.get("/healthz/workers").json() == {"status": "ok", "checks": checks}


@pytest.mark.timeout(600)
@pytest.mark.postgresql
@pytest.mark.redis
def test_a_training_worker_trains_what_is_queued_and_registers_it(tmp_path: Path) -> None:
    try:
        load_fashion_mnist()
    except DatasetError as error:
        pytest.skip(str(error))
    run = start_training_run(recipe="compact", seed=3, epochs=1, limit=256)
    # From random weights: the test asks whether the way is open, not how good the network is.
    with worker("training", log=tmp_path / "log", program=SMALL_DATA_WORKER, BACKBONE_WEIGHTS="none"):
        # It has the processor for the better part of a minute, and a busy machine may give it little.
        wait_until(
            lambda: TrainingRun.objects.get(pk=run.pk).finished_at is not None, log=tmp_path / "log", seconds=500.0
        )
    run.refresh_from_db()
    assert (run.state, run.error) == (TrainingRun.State.DONE, "")
    assert [row["epoch"] for row in run.progress["history"]] == [1]
    assert run.model_version.stage == "candidate"
    assert run.model_version.metrics["images"] == TEST_PICTURES

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
from tests.support.factories import create_image, create_product
from tests.support.fakes import create_painted_image, create_stored_image
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
def worker(queue: str, *, log: Path, program: str = "celery", **variables: str) -> Iterator[subprocess.Popen[bytes]]:
    """Run a Celery worker for one queue on the test database, as an operator would start it."""
    environment = {
        **os.environ,
        "DJANGO_SETTINGS_MODULE": "config.settings.test",
        "DATABASE_URL": get_test_database_url(),
        "MEDIA_ROOT": str(django_settings.MEDIA_ROOT),
        "ARTEFACTS_DIR": str(django_settings.ARTEFACTS_DIR),
        **variables,
    }
    command = [sys.executable, "-m", program, "-A", "config", "worker", "-Q", queue, "-c", "1", "-n", f"{queue}@test"]
    with log.open("wb") as output:
        process = subprocess.Popen(command, env=environment, stdout=output, stderr=output, start_new_session=True)
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


@pytest.mark.postgresql
@pytest.mark.redis
def test_a_worker_labels_a_run_to_its_end(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    register_active_version()
    for _ in range(70):
        create_product(images=[create_painted_image()])
    create_product(images=[create_stored_image(b"no picture")])
    with worker("labelling", log=tmp_path / "log"):
        run = start_labelling_run()
        wait_until(lambda: LabellingRun.objects.get(pk=run.pk).state == LabellingRun.State.DONE, log=tmp_path / "log")
        assert Classification.objects.filter(run=run).count() == 70
        assert list(LabelTask.objects.errors().values_list("error_code", flat=True)) == ["not_image"]
        call_command("label_catalog", "--wait", "--relabel")
    assert "71 pictures, 70 labelled, 1 failed" in capsys.readouterr().out
    assert Classification.objects.count() == 140


@pytest.mark.postgresql
@pytest.mark.redis
def test_the_workers_timer_sends_what_no_message_speaks_of(tmp_path: Path) -> None:
    register_active_version()
    create_product(images=[create_painted_image()])
    run = start_labelling_run()
    redis.Redis.from_url(django_settings.REDIS_URL).flushdb()
    LabelTask.objects.update(sent_at=None)
    with worker("labelling", log=tmp_path / "log"):
        wait_until(lambda: LabellingRun.objects.get(pk=run.pk).state == LabellingRun.State.DONE, log=tmp_path / "log")
    assert Classification.objects.count() == 1


@pytest.mark.postgresql
@pytest.mark.redis
def test_a_worker_records_a_run_of_reviews_and_the_timer_finds_one_that_was_lost(tmp_path: Path) -> None:
    for _ in range(3):
        create_product(images=[create_image()])
    reviewer = create_member("add_review")
    lost = start_review_run(Image.objects.all(), group="Bags", reviewer=reviewer)
    redis.Redis.from_url(django_settings.REDIS_URL).flushdb()
    ReviewRun.objects.update(sent_at=None)
    with worker("labelling", log=tmp_path / "log"):
        wait_until(lambda: ReviewRun.objects.get(pk=lost.pk).state == ReviewRun.State.DONE, log=tmp_path / "log")
        run = start_review_run(Image.objects.all(), group="Footwear", reviewer=reviewer)
        wait_until(lambda: ReviewRun.objects.get(pk=run.pk).state == ReviewRun.State.DONE, log=tmp_path / "log")
    assert Review.objects.count() == 6
    assert set(ProductLabel.objects.values_list("group", "source")) == {("Footwear", "person")}


@pytest.mark.postgresql
@pytest.mark.redis
def test_a_running_worker_uses_a_new_version_for_the_next_run_and_its_canary_returns(
    tmp_path: Path, client: Client
) -> None:
    versions = [
        register_active_version(),
        register_model_version(create_artefact_twin(tmp_path / "twin")),
    ]
    create_product(images=[create_painted_image()])
    with worker("labelling", log=tmp_path / "log") as process:
        for version in versions:
            bring_into_production(version)
            adoption = AdoptionRun.objects.get(model_version=version)
            wait_until(lambda run=adoption: AdoptionRun.objects.get(pk=run.pk).state == "done", log=tmp_path / "log")
            run = start_labelling_run()
            wait_until(lambda run=run: LabellingRun.objects.get(pk=run.pk).state == "done", log=tmp_path / "log")
        wait_until(lambda: QueueCanary.objects.get().done_at is not None, log=tmp_path / "log")
        assert process.poll() is None
    # The second activation met a worker that was there: shown with -s, since a busy machine may take its time.
    adoption = AdoptionRun.objects.select_related("model_version").get(model_version=versions[-1])
    assert adoption.started_at is not None
    assert adoption.model_version.activated_at is not None
    seen = adoption.started_at - adoption.model_version.activated_at
    sys.stderr.write(f"an activation reached the worker after {seen.total_seconds() * 1000:.0f} ms\n")
    assert seen < timedelta(seconds=PATIENCE_SECONDS)
    labelled = list(Classification.objects.order_by("pk").values_list("model_version_id", "run__model_version_id"))
    assert labelled == [(version.pk, version.pk) for version in versions]
    assert client.get("/healthz/workers").json() == {"status": "ok", "checks": {"labelling": "ok"}}


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

"""Health checks and canaries."""

import shutil
from datetime import timedelta
from pathlib import Path

import pytest
from django.db import OperationalError, connection
from django.test import Client
from django.utils import timezone
from kombu.exceptions import OperationalError as OperationalBrokerError

from classifier.ml.artefacts import NETWORK_FILE
from classifier.models import ModelVersion, QueueCanary, TrainingRun
from classifier.monitoring import health
from classifier.registry.services import get_artefact_folder, register_model_version
from classifier.runs.workers import list_queue_health
from classifier.worker.canaries import canary_task, send_canaries
from config import VERSION
from tests.support.artefacts import create_broken_artefact, register_active_version
from tests.support.refusing_redis import fill_up, turn_into_replica
from tests.support.servers import start_redis

pytestmark = [pytest.mark.django_db, pytest.mark.both_databases]

WELL = {"database": "ok", "broker": "ok", "storage": "ok", "model_version": "ok"}


@pytest.fixture(autouse=True)
def artefacts_folder(settings, tmp_path: Path) -> None:
    settings.ARTEFACTS_DIR = tmp_path / "artefacts"


@pytest.fixture
def sent(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The queues that canaries were sent through; the canaries themselves go nowhere, and bear no time of expiry."""
    queues: list[str] = []
    monkeypatch.setattr(canary_task, "apply_async", lambda arguments, *, queue, retry: queues.append(queue))
    return queues


def test_a_process_that_answers_is_alive_whatever_else_is_broken(client: Client, django_assert_num_queries) -> None:
    with django_assert_num_queries(0):
        response = client.get("/healthz/live")
    assert (response.status_code, response.json()) == (200, {"status": "ok", "version": VERSION})
    assert "no-store" in response.headers["Cache-Control"]


def test_a_site_with_everything_it_needs_is_ready(client: Client) -> None:
    register_active_version()
    response = client.get("/healthz/ready")
    assert (response.status_code, response.json()) == (200, {"status": "ok", "checks": WELL})


def test_a_site_without_an_active_version_is_not_ready(client: Client) -> None:
    response = client.get("/healthz/ready")
    checks = WELL | {"model_version": "none is in production"}
    assert (response.status_code, response.json()) == (503, {"status": "failing", "checks": checks})


@pytest.mark.parametrize("damage", ["manifest", "network", "folder"])
def test_a_site_without_the_active_versions_files_is_not_ready(client: Client, damage: str) -> None:
    folder = get_artefact_folder(register_active_version())
    if damage == "folder":
        shutil.rmtree(folder)
    elif damage == "network":
        (folder / NETWORK_FILE).unlink()
    else:
        (folder / "manifest.json").write_text("{}")
    response = client.get("/healthz/ready")
    assert (response.status_code, response.json()["checks"]["model_version"]) == (503, "files missing or changed")
    assert str(folder) not in response.text


def test_a_site_whose_active_version_labels_nothing_is_not_ready(client: Client, tmp_path: Path) -> None:
    register_model_version(create_broken_artefact(tmp_path / "broken"))
    ModelVersion.objects.update(stage=ModelVersion.Stage.PRODUCTION)
    response = client.get("/healthz/ready")
    assert (response.status_code, response.json()["checks"]["model_version"]) == (503, "network cannot be loaded")


@pytest.mark.redis
@pytest.mark.parametrize("harm", [turn_into_replica, fill_up], ids=["replica", "full"])
def test_a_site_whose_broker_takes_no_writes_is_not_ready(client: Client, settings, harm) -> None:
    register_active_version()
    server = start_redis()
    settings.REDIS_URL = settings.CELERY_BROKER_URL = server.url
    assert client.get("/healthz/ready").json()["checks"] == WELL
    with harm(server.url):
        response = client.get("/healthz/ready")
    assert (response.status_code, response.json()["checks"]) == (503, WELL | {"broker": "cannot be written to"})
    assert client.get("/healthz/ready").json()["checks"] == WELL
    server.stop()


def test_a_site_without_room_for_files_is_not_ready(client: Client, settings, tmp_path: Path) -> None:
    register_active_version()
    (tmp_path / "file").write_text("a folder cannot be made here")
    settings.MEDIA_ROOT = tmp_path / "file" / "media"
    response = client.get("/healthz/ready")
    assert (response.status_code, response.json()["checks"]) == (503, WELL | {"storage": "cannot be written to"})
    assert str(tmp_path) not in response.text


@pytest.mark.postgresql
def test_a_site_whose_database_takes_no_writes_is_not_ready() -> None:
    with connection.cursor() as cursor:
        cursor.execute("SET transaction_read_only = on")
    assert health.check_database() == "cannot be written to"


@pytest.mark.redis
def test_a_site_whose_broker_is_away_is_not_ready_and_says_no_more(client: Client, settings) -> None:
    register_active_version()
    settings.CELERY_BROKER_URL = "redis://user:secret@127.0.0.1:1/0"
    response = client.get("/healthz/ready")
    assert (response.status_code, response.json()["checks"]) == (503, WELL | {"broker": "not reachable"})
    assert "secret" not in response.text
    assert "127.0.0.1" not in response.text


def test_a_site_whose_database_is_away_is_not_ready(client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail() -> str:
        raise OperationalError("connection to server at 10.1.2.3 failed: password")

    monkeypatch.setattr(health, "check_database", fail)
    response = client.get("/healthz/ready")
    assert (response.status_code, response.json()["checks"]["database"]) == (503, "not reachable")
    assert "10.1.2.3" not in response.text


def test_health_is_only_read(client: Client) -> None:
    for name in ("live", "ready", "workers"):
        assert client.post(f"/healthz/{name}").status_code == 405


def test_health_is_asked_without_tls(client: Client, settings) -> None:
    settings.SECURE_SSL_REDIRECT = True
    assert client.get("/").status_code == 301
    assert client.get("/healthz/live").status_code == 200


def test_a_canary_goes_out_once_and_is_written_down_when_it_comes_back(sent: list[str]) -> None:
    for _ in range(2):
        send_canaries(["labelling", "training"])
    assert sent == ["labelling", "training"]
    assert QueueCanary.objects.get(pk="labelling").done_at is None
    canary_task("labelling")
    row = QueueCanary.objects.get(pk="labelling")
    assert row.done_at >= row.sent_at
    assert QueueCanary.objects.get(pk="training").done_at is None


def test_the_next_canary_waits_for_the_one_before_and_for_its_time(sent: list[str], settings) -> None:
    def age(**fields: float) -> None:
        now = timezone.now()
        QueueCanary.objects.update(**{name: now - timedelta(seconds=seconds) for name, seconds in fields.items()})

    send_canaries(["labelling"])
    age(sent_at=settings.CANARY_SECONDS + 1)
    send_canaries(["labelling"])
    assert sent == ["labelling"], "it has not come back"
    age(sent_at=settings.CANARY_SECONDS + 1, done_at=settings.CANARY_SECONDS)
    send_canaries(["labelling"])
    assert sent == ["labelling"] * 2
    age(sent_at=settings.CANARY_STALE_SECONDS + 1)
    send_canaries(["labelling"])
    assert sent == ["labelling"] * 3, "it counts as lost"


def test_a_broker_that_is_away_is_no_error(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_arguments: object, **_options: object) -> None:
        raise OperationalBrokerError("no broker")

    monkeypatch.setattr(canary_task, "apply_async", fail)
    assert send_canaries(["labelling"]) == 1


def test_a_queue_that_is_silent_is_stale(client: Client, settings) -> None:
    assert client.get("/healthz/workers").json() == {"status": "ok", "checks": {}}
    now, long_ago = timezone.now(), timezone.now() - timedelta(seconds=settings.CANARY_STALE_SECONDS + 1)
    QueueCanary.objects.create(queue="labelling", created_at=long_ago, sent_at=now, done_at=now)
    QueueCanary.objects.create(queue="training", created_at=now, sent_at=now)
    assert client.get("/healthz/workers").json()["checks"] == {"labelling": "ok", "training": "ok"}
    QueueCanary.objects.update(done_at=long_ago)
    response = client.get("/healthz/workers")
    assert (response.status_code, response.json()["checks"]) == (503, {"labelling": "stale", "training": "stale"})


def test_a_training_that_lives_keeps_its_queue_well(settings) -> None:
    now, long_ago = timezone.now(), timezone.now() - timedelta(seconds=settings.CANARY_STALE_SECONDS + 1)
    QueueCanary.objects.create(queue="training", sent_at=now, created_at=long_ago)
    run = TrainingRun.objects.create(recipe="default", seed=1, state="running", heartbeat_at=now)
    assert not list_queue_health()[0].stale
    TrainingRun.objects.filter(pk=run.pk).update(heartbeat_at=now - timedelta(hours=1))
    assert list_queue_health()[0].stale

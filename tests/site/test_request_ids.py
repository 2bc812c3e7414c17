"""The id of a request stands in the lines of the worker that does what was asked for; with real processes."""

import json
import os
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from django.core.cache import cache

from catalog.models import ProductLabel
from config.celery import app
from tests.support.artefacts import register_active_version
from tests.support.factories import create_product
from tests.support.fakes import create_stored_image
from tests.support.forks import fork
from tests.support.front import running_site
from tests.support.make_images import png
from tests.support.members import build_token_header, create_member
from tests.support.servers import get_test_database_url

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.processes, pytest.mark.both_databases]

WORKER = ("-A", "config", "worker", "-Q", "labelling", "-c", "1", "-l", "INFO")
ID = "asked-for-7f3a"


@contextmanager
def running_worker(log: Path, environment: dict[str, str]) -> Iterator[None]:
    worker = fork("-m", "celery", *WORKER, output=log, env=environment)
    try:
        yield
    finally:
        worker.terminate()
        worker.wait(30)


def test_the_lines_of_a_worker_have_the_id_of_the_request(settings: Any, tmp_path: Path) -> None:
    settings.ARTEFACTS_DIR = tmp_path / "artefacts"
    cache.clear()
    # What other tests left on the queue has their requests' ids.
    with app.connection_for_write() as broker:
        broker.default_channel.queue_purge("labelling")
    register_active_version()
    for _ in range(3):
        create_product(images=[create_stored_image(png())])
    token = build_token_header(create_member("add_labellingrun"))
    environment = os.environ | {
        "DJANGO_SETTINGS_MODULE": "config.settings.base",
        "DATABASE_URL": get_test_database_url(),
        "VAR_DIR": str(tmp_path / "var"),
        "MEDIA_ROOT": str(settings.MEDIA_ROOT),
        "ARTEFACTS_DIR": str(settings.ARTEFACTS_DIR),
        "LOG_FORMAT": "json",
        "GUNICORN_CMD_ARGS": "--workers=1",
        "LABELLING_SWEEP_SECONDS": "60",
    }
    log = tmp_path / "worker.log"
    with running_site(tmp_path, environment=environment) as door, running_worker(log, environment):
        request = urllib.request.Request(
            f"http://127.0.0.1:{door.port}/api/v1/labelling-runs/",
            data=b'{"relabel": false}',
            headers={"Content-Type": "application/json", "Host": "shop.example", "X-Request-ID": ID, **token},
        )
        with urllib.request.urlopen(request, timeout=30) as response:
            assert (response.status, response.headers["X-Request-ID"]) == (202, ID)
        deadline = time.monotonic() + 60
        while ProductLabel.objects.filter(status="pending").exists():
            assert time.monotonic() < deadline, log.read_text()
            time.sleep(0.1)
    lines = [json.loads(line) for line in log.read_text().splitlines() if line.startswith("{")]
    of_batches = [line for line in lines if line.get("task") == "classifier.tasks.label_batch_task"]
    assert of_batches
    assert {line.get("request") for line in of_batches} == {ID}
    # What the worker's timers send is of no request.
    canaries = [line for line in lines if line.get("task") == "classifier.tasks.canary_task"]
    assert all("request" not in line for line in canaries)
    site = (tmp_path / "site.log").read_text()
    assert f'"request": "{ID}"' in site

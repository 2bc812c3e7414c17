"""Two machines that share a database, a broker and a bucket: what one does the other goes on with.

One is this process with the site's pages, the other a worker and commands, each with a folder of its own.
"""

import json
import os
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from io import BytesIO
from pathlib import Path
from typing import Any
from zipfile import ZipFile

import pytest
from django.conf import settings as django_settings
from django.contrib.auth.models import User
from django.core.files.uploadedfile import SimpleUploadedFile
from django.test import Client
from PIL import Image as PillowImage

from catalog.models import ProductLabel, StoredPicture
from catalog.pictures.storage import get_thumbnail_path
from classifier.labelling.starting import start_labelling_run
from classifier.models import Classification, LabellingRun, ModelVersion
from classifier.registry.services import register_model_version
from tests.support.artefacts import OWN_NETWORKS, bring_into_production, create_artefact_twin
from tests.support.bucket import BucketServer, running_bucket
from tests.support.forks import fork
from tests.support.servers import get_test_database_url

pytestmark = [
    pytest.mark.django_db(transaction=True),
    pytest.mark.postgresql,
    pytest.mark.redis,
    pytest.mark.processes,
    pytest.mark.long,
]
PATIENCE_SECONDS = 150.0


@pytest.fixture
def bucket(settings: Any, tmp_path: Path) -> Iterator[BucketServer]:
    with running_bucket() as server:
        settings.STORAGES = server.build_storages(settings.STORAGES)
        settings.ARTEFACTS_DIR = tmp_path / "site" / "artefacts"
        settings.MEDIA_ROOT = tmp_path / "site" / "media"
        yield server


def build_environment(bucket: BucketServer, folder: Path) -> dict[str, str]:
    """Return what the processes of the second machine are told."""
    environment = {name: value for name, value in os.environ.items() if name not in ("MEDIA_ROOT", "ARTEFACTS_DIR")}
    return environment | {
        "DJANGO_SETTINGS_MODULE": "config.settings.base",
        "SECRET_KEY": django_settings.SECRET_KEY,
        "VAR_DIR": str(folder),
        "DATABASE_URL": get_test_database_url(),
        "APPROVALS": "one",
        "STORAGE_URL": bucket.url,
        "LABELLING_SWEEP_SECONDS": "1",
    }


def wait_until(condition: Callable[[], object], *, log: Path) -> None:
    deadline = time.monotonic() + PATIENCE_SECONDS
    while not condition():
        assert time.monotonic() < deadline, log.read_text()
        time.sleep(0.1)


def wait_until_labelled(run: LabellingRun, *, log: Path) -> None:
    wait_until(lambda: LabellingRun.objects.get(pk=run.pk).state == "done", log=log)


def import_pictures(client: Client, *, number: int) -> None:
    """Import so many products with a picture each on the page, from an archive."""
    archive = BytesIO()
    with ZipFile(archive, "w") as file:
        for place in range(number):
            picture = PillowImage.new("RGB", (60, 80), "white")
            picture.paste("black", (15, 10, 45 - place, 70))  # no two have the same bytes
            content = BytesIO()
            picture.save(content, "PNG")
            file.writestr(f"{place}.png", content.getvalue())
    lines = [json.dumps({"title": f"Product {place}", "images": [f"{place}.png"]}) for place in range(number)]
    files = [
        SimpleUploadedFile("a.jsonl", "\n".join(lines).encode()),
        SimpleUploadedFile("pictures.zip", archive.getvalue()),
    ]
    page = client.post("/import/", {"files": files}, follow=True)
    done = client.post("/import/run/", {"ticket": page.context["ticket"]}, follow=True)
    assert done.context["summary"].startswith(f"a.jsonl is imported: {number} created")


def test_what_one_machine_does_the_other_goes_on_with(
    bucket: BucketServer, client: Client, tmp_path: Path, settings: Any
) -> None:
    client.force_login(User.objects.create_superuser("operator"))
    import_pictures(client, number=5)
    environment = build_environment(bucket, tmp_path / "worker")
    log = tmp_path / "worker.log"
    # A version that the worker's machine registered is in production for all.
    site_folder, settings.ARTEFACTS_DIR = settings.ARTEFACTS_DIR, tmp_path / "worker" / "artefacts"
    register_model_version(OWN_NETWORKS)
    settings.ARTEFACTS_DIR = site_folder
    first = bring_into_production(ModelVersion.objects.get())
    assert [path.name for path in (tmp_path / "site" / "artefacts").iterdir()] == [first.folder]
    worker = ("-m", "celery", "-A", "config", "worker", "-Q", "labelling", "-c", "1", "-n", "other@test")
    process = fork(*worker, output=log, env=environment)
    try:
        wait_until_labelled(start_labelling_run(), log=log)
        assert Classification.objects.filter(model_version=first).count() == 5
        # One that the site's machine registered is fetched by the worker.
        second = bring_into_production(register_model_version(create_artefact_twin(tmp_path / "made")))
        wait_until_labelled(start_labelling_run(relabel=True), log=log)
        assert Classification.objects.filter(model_version=second).count() == 5
    finally:
        process.terminate()
        try:
            process.wait(timeout=30)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
    assert {path.name for path in (tmp_path / "worker" / "artefacts").iterdir()} == {first.folder, second.folder}
    # Neither keeps a picture on its disk; the site shows, explains and exports what the worker stored.
    for folder in ("site", "worker"):
        assert [path for path in (tmp_path / folder).rglob("*") if path.suffix in (".png", ".jpg")] == []
    for picture in StoredPicture.objects.all():
        assert client.get(get_thumbnail_path(picture.sha256)).status_code == 200
    label = ProductLabel.objects.exclude(classification=None).latest("pk")
    assert client.get(f"/images/{label.image_id}/explanation/").status_code == 200
    assert [key for key in bucket.list_keys() if key.startswith("media/explanations/")] != []
    answer = client.get("/products/export.zip")
    with ZipFile(BytesIO(b"".join(answer.streaming_content))) as archive:  # type: ignore[attr-defined]
        assert len([name for name in archive.namelist() if name.endswith(".png")]) == 5

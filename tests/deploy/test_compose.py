"""What compose.yaml says, and each of its commands of the product as it stands there."""

import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.deploy.composed import Composed, list_own_services, read_services
from tests.support.ports import is_listening
from tests.support.servers import move_redis_url, start_postgresql

PATIENCE_SECONDS = 300.0
SERVICES = read_services()


def wait_until(condition: Callable[[], Any], *, what: Callable[[], str]) -> None:
    deadline = time.monotonic() + PATIENCE_SECONDS
    while not condition():
        assert time.monotonic() < deadline, what()
        time.sleep(0.1)


@pytest.mark.parametrize("name", list_own_services())
def test_the_products_containers_have_no_powers_and_wait_for_the_migrations(name: str) -> None:
    service = SERVICES[name]
    assert service["read_only"] is True
    assert service["cap_drop"] == ["ALL"]
    assert service["user"].endswith(":0")
    assert service["tmpfs"] == ["/tmp"]
    assert {key.removesuffix("_FILE") for key in service["environment"] if key.endswith("_FILE")} == {
        "DATABASE_URL",
        "REDIS_URL",
        "SECRET_KEY",
        "ARTEFACT_KEY",
    }
    # What ends by itself; a backup is made before the migrations of a new release.
    if name not in ("migrate", "backup"):
        assert service["restart"] == "unless-stopped"
        assert service["depends_on"]["migrate"] == {"condition": "service_completed_successfully"}


def test_a_bucket_is_known_and_reached_by_every_service_of_the_product() -> None:
    added = read_services("deploy/bucket.yaml")
    assert sorted(added) == sorted(list_own_services())
    for service in added.values():
        assert set(service["environment"]) == {"STORAGE_URL", "AWS_SHARED_CREDENTIALS_FILE"}
        assert service["secrets"] == ["bucket_credentials"]
        assert "outside" in service["networks"]


def test_no_secret_stands_in_the_file_and_only_the_front_is_reached_from_outside() -> None:
    for name, service in SERVICES.items():
        for key, value in service.get("environment", {}).items():
            assert key.endswith("_FILE") or not any(word in key for word in ("PASSWORD", "SECRET", "KEY", "URL")), value
        assert ("ports" in service) == (name == "front")
        assert "internal" not in service
    assert SERVICES["database"]["networks"] == SERVICES["broker"]["networks"] == SERVICES["site"]["networks"]


@pytest.fixture
def composed(tmp_path: Path) -> Iterator[Composed]:
    """The product on a database without tables."""
    redis_url = os.environ.get("REDIS_URL")
    if not redis_url:
        pytest.skip("needs a Redis")
    server = start_postgresql()
    product = Composed(tmp_path, server.url, move_redis_url(redis_url, by=7), forks=True)
    try:
        yield product
    finally:
        product.stop()
        server.stop()


@pytest.mark.processes
@pytest.mark.redis
@pytest.mark.timeout(1200)
def test_each_command_runs_as_it_stands_in_the_file(composed: Composed, record_property) -> None:
    record_property("way", composed.way)
    # The migrations end before anything else begins,
    assert composed.run("migrate") == 0, composed.read_log("migrate-1")

    # the site and the workers start with secrets from files,
    for name in ("site", "labelling", "training"):
        composed.start(name)
    wait_until(lambda: is_listening(composed.port), what=lambda: composed.read_log("site-1"))
    # which its health check finds by the name that it is called by,
    (_cmd, _python, *check) = SERVICES["site"]["healthcheck"]["test"]
    check = [part.replace(":8000/", f":{composed.port}/") for part in check]
    assert subprocess.run([sys.executable, *check], check=False).returncode == 0
    workers = ("labelling-1", "training-1")
    wait_until(
        lambda: all(" ready." in composed.read_log(worker) for worker in workers),
        what=lambda: "\n".join(map(composed.read_log, workers)),
    )

    # a backup is made beside them, where its image is,
    if composed.can_run("backup"):
        assert composed.run("backup") == 0, composed.read_log("backup-1")
        (backup,) = composed.backups.iterdir()
        assert (backup / "SHA256SUMS").is_file()

    # their health checks hold (in an image each has a /tmp of its own),
    if not composed.images:
        for name in ("labelling", "training"):
            (_shell, check) = SERVICES[name]["healthcheck"]["test"]
            check = check.replace("/tmp/worker-alive", str(composed.folder / f"{name}-alive"))
            assert subprocess.run(["sh", "-c", check], check=False).returncode == 0
            (composed.folder / f"{name}-alive").unlink()
            assert subprocess.run(["sh", "-c", check], check=False, capture_output=True).returncode != 0

    # and all end well at the signal that a container is stopped with.
    if not composed.images:
        for key in ("site-1", "labelling-1", "training-1"):
            composed.processes[key].send_signal(signal.SIGTERM)
        for key in ("site-1", "labelling-1", "training-1"):
            assert composed.processes[key].wait(60) == 0, composed.read_log(key)


def test_a_service_with_a_sample_secret_does_not_start(tmp_path: Path) -> None:
    product = Composed(tmp_path, "sqlite:///:memory:", "redis://:change-me@localhost:6379/0", forks=True)
    product.images = ""
    for name in ("migrate", "site", "labelling"):
        assert product.run(name) == (3 if name == "site" else 1)  # Gunicorn has its own
        assert "REDIS_URL: expected a value of your own" in product.read_log(f"{name}-1")
        assert "Traceback" not in product.read_log(f"{name}-1")


@pytest.mark.skipif(not os.environ.get("PRODUCT_IMAGE"), reason="PRODUCT_IMAGE names no image that buildah has")
@pytest.mark.skipif(shutil.which("buildah") is None, reason="buildah is not installed")
@pytest.mark.parametrize("target", ["light", "training"])
def test_an_image_has_no_secret_and_any_user_may_run_it(target: str, tmp_path: Path) -> None:
    image = f"{os.environ['PRODUCT_IMAGE']}:{target}"
    container = subprocess.run(["buildah", "from", image], capture_output=True, text=True, check=True).stdout.strip()

    def run(script: str) -> subprocess.CompletedProcess[str]:
        head = ["buildah", "run", "--isolation", "chroot", "--user", "12345:0", container, "--", "sh", "-c", script]
        return subprocess.run(head, capture_output=True, text=True, check=False)

    try:
        assert run("touch /opt/catalogue/new || touch /opt/venv/new").returncode != 0
        assert run("touch /tmp/new && touch $VAR_DIR/new").returncode == 0
        assert (
            run(
                "find / -xdev -name secret_key -o -xdev -name '.env*' -o -xdev -name '*.pem' -path '*catalogue*'"
            ).stdout
            == ""
        )
        assert run("command -v gcc || command -v pip").returncode != 0
        assert (
            '"bomFormat": "CycloneDX"'
            in run("head -c 3000 /opt/venv/sbom.cdx.json; cat /opt/venv/sbom.cdx.json").stdout
        )
        found = run("python -c 'import tensorflow'")
        assert (found.returncode == 0) == (target == "training"), found.stderr
    finally:
        subprocess.run(["buildah", "rm", container], capture_output=True, check=False)

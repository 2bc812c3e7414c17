"""The demo, from an empty database to labelled pictures, with a real worker process."""

import os
import re
import signal
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable
from pathlib import Path

import pytest
from django.conf import settings as django_settings

from classifier.management.demo_summary import DemoSummary, list_summary_lines
from tests.support.ports import find_port

pytestmark = pytest.mark.long


def run_demo(folder: Path, **variables: str) -> subprocess.CompletedProcess[str]:
    """Run the command as `make demo` does: embedded, everything it writes below `folder`."""
    result = subprocess.run(
        [sys.executable, "manage.py", "demo"],
        cwd=django_settings.BASE_DIR,
        env=embedded_environment(folder, DEMO_SERVE="0", **variables),
        capture_output=True,
        text=True,
        timeout=170,
        check=False,
    )
    assert result.returncode == 0, result.stdout + result.stderr
    return result


def embedded_environment(folder: Path, **variables: str) -> dict[str, str]:
    kept = {
        name: value for name, value in os.environ.items() if name not in ("DATABASE_URL", "REDIS_URL", "MEDIA_ROOT")
    }
    return {**kept, "DJANGO_SETTINGS_MODULE": "config.settings.base", "VAR_DIR": str(folder), **variables}


def test_the_demo_labels_its_catalogue_once_and_mostly_right(tmp_path: Path) -> None:
    first = run_demo(tmp_path).stdout
    assert re.search(r"sign in at /admin/ as admin with the password \S{12,}", first)
    assert "360 products created" in first
    assert re.search(r"Labelled now: 602 in .* images per second", first)
    sure, right = re.search(r"of (\d+) pictures it was sure of: (\d+)", first).groups()
    assert int(sure) > 500
    assert int(right) / int(sure) >= 0.97

    port, output = find_port(), tmp_path / "output"
    with output.open("wb") as file:
        site = subprocess.Popen(
            [sys.executable, "manage.py", "demo"],
            cwd=django_settings.BASE_DIR,
            env=embedded_environment(tmp_path, PORT=str(port)),
            stdout=file,
            stderr=subprocess.STDOUT,
        )
    try:
        page = read_when_up(f"http://127.0.0.1:{port}/api/v1/products/?group=Bags")
        assert '"group":"Bags"' in page
        assert "/thumbnails/" in read_when_up(f"http://127.0.0.1:{port}/")
        assert "<title>Log in | Fashion catalogue</title>" in read_when_up(f"http://127.0.0.1:{port}/admin/")
        # A worker that dies while the site is served is told of and started again.
        killed = find_worker(site.pid)
        os.kill(killed, signal.SIGKILL)
        wait_until(lambda: find_worker(site.pid) not in (None, killed), what=output)
        assert "The labelling worker was ended by SIGKILL after" in output.read_text()
    finally:
        started = list_children(site.pid)
        site.send_signal(signal.SIGINT)
        assert site.wait(timeout=60) == 0
    assert len(started) == 3
    assert not any(Path(f"/proc/{pid}").exists() for pid in started)
    second = output.read_text()
    assert "password" not in second
    assert "0 products created, 0 changed, 360 unchanged" in second
    assert "Labelled now: nothing, every picture had its label" in second


def list_children(pid: int) -> list[int]:
    return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def find_worker(pid: int) -> int | None:
    """Return the labelling worker among the children of the demo."""
    lines = {child: Path(f"/proc/{child}/cmdline").read_bytes().split(b"\0") for child in list_children(pid)}
    return next((child for child, line in lines.items() if b"labelling@%h" in line), None)


def wait_until(condition: Callable[[], bool], *, what: Path) -> None:
    deadline = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < deadline, what.read_text()
        time.sleep(0.1)


def read_when_up(url: str) -> str:
    deadline = time.monotonic() + 90
    while True:
        try:
            with urllib.request.urlopen(url, timeout=5) as answer:
                return answer.read().decode()
        except OSError:
            assert time.monotonic() < deadline, url
            time.sleep(0.3)


def test_the_summary_says_what_was_done_now() -> None:
    summary = DemoSummary(groups={}, failed=2, labelled_now=30, seconds=1.5, sure=4, right=3)
    assert list_summary_lines(summary) == [
        "Failed: 2",
        "Labelled now: 30 in 1.5 s, 20 images per second",
        "Right group, of 4 pictures it was sure of: 3 (75.0%)",
    ]

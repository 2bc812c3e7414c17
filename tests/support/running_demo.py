"""The demo as people run it, without TensorFlow, once for all tests: a first run, and a second that serves a site."""

import os
import re
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.support.light import make_light_python
from tests.support.ports import find_port, is_listening

REPOSITORY = Path(__file__).resolve().parents[2]
#: Set by the tests' own settings; the product has its own.
FOREIGN_VARIABLES = ("DATABASE_URL", "REDIS_URL", "MEDIA_ROOT", "DJANGO_SETTINGS_MODULE", "SECRET_KEY", "DEBUG")
#: Longer than it takes on any machine that runs the tests.
PATIENCE_SECONDS = 600.0


@dataclass
class RunningDemo:
    """What the first run said, and the process of the second, which writes to `output`."""

    first: str
    site: subprocess.Popen[bytes]
    output: Path
    address: str

    @property
    def password(self) -> str:
        """The password of the user `admin`."""
        (password,) = re.findall(r"as admin with the password (\S+)", self.first)
        return password

    def list_children(self) -> list[int]:
        """Return the processes that the demo has started and that run: workers and the site."""
        return [int(pid) for pid in Path(f"/proc/{self.site.pid}/task/{self.site.pid}/children").read_text().split()]

    def wait_until(self, condition: Callable[[], object]) -> None:
        """Wait until the condition is true; fail if the demo ends before, or it takes too long."""
        deadline = time.monotonic() + PATIENCE_SECONDS
        while not condition():
            assert self.site.poll() is None, self.output.read_text()
            assert time.monotonic() < deadline, self.output.read_text()
            time.sleep(0.05)

    def stop(self) -> int:
        """End it as Ctrl-C does, and return its exit status."""
        self.site.send_signal(signal.SIGINT)
        return self.site.wait(PATIENCE_SECONDS)


@pytest.fixture(scope="session")
def running_demo(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningDemo]:
    """The demo catalogue, labelled, with its workers and its site running, embedded, in a folder of its own."""
    with start_demo(tmp_path_factory.mktemp("demo")) as demo:
        yield demo


@contextmanager
def start_demo(folder: Path) -> Iterator[RunningDemo]:
    """Label the demo catalogue in this folder, and run its workers and its site while the block lasts."""
    port = find_port()
    environment = {name: value for name, value in os.environ.items() if name not in FOREIGN_VARIABLES}
    environment |= {"VAR_DIR": str(folder), "PORT": str(port), "PYTHONUNBUFFERED": "1"}
    environment["DJANGO_SETTINGS_MODULE"] = "tests.support.demo_settings"
    command = [str(make_light_python(folder / "venv")), "manage.py", "demo"]
    first = subprocess.run(
        command,
        cwd=REPOSITORY,
        env=environment | {"DEMO_SERVE": "0"},
        capture_output=True,
        text=True,
        timeout=PATIENCE_SECONDS,
        check=False,
    )
    assert first.returncode == 0, first.stdout + first.stderr
    output = folder / "output"
    with output.open("wb") as file:
        site = subprocess.Popen(command, cwd=REPOSITORY, env=environment, stdout=file, stderr=subprocess.STDOUT)
    demo = RunningDemo(first.stdout, site, output, f"http://127.0.0.1:{port}")
    try:
        demo.wait_until(lambda: is_listening(port))
        yield demo
    finally:
        if site.poll() is None:
            demo.stop()

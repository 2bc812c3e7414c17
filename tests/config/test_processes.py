"""Child processes of a command: kept running, and ended with it."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import pytest
from django.conf import settings as django_settings

from config import processes
from config.processes import KeptRunning

pytestmark = pytest.mark.processes

SLEEP = ("timeit", "-n", "1", "-r", "1", "import time; time.sleep(600)")
PARENT = f"""
import sys, time
from pathlib import Path
from config.processes import running
with running(*{SLEEP}, log=Path(sys.argv[1])) as child:
    print(child.pid, flush=True)
    time.sleep(600)
"""


def wait_until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 30
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.02)


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> SimpleNamespace:
    """A clock that stands still at `now`."""
    clock = SimpleNamespace(now=1000.0)
    monkeypatch.setattr(processes, "time", SimpleNamespace(monotonic=lambda: clock.now))
    return clock


def test_a_process_that_ends_is_started_again_after_a_pause_that_grows(tmp_path: Path, clock: SimpleNamespace) -> None:
    def kill() -> int:
        kept.process.kill()
        kept.process.wait()
        return kept.process.pid

    log = tmp_path / "log"
    with KeptRunning("labelling worker", *SLEEP, log=log) as kept:
        assert kept.look() == ""
        clock.now += 30
        for pause in ("1 s", "2 s", "4 s"):
            killed = kill()
            line = kept.look()
            assert line.startswith("The labelling worker was ended by SIGKILL after 30 s. It is started again in")
            assert line.endswith(f"It is started again in {pause}. Its log: {log}")
            clock.now += int(pause[0]) - 0.5
            assert (kept.look(), kept.process.pid) == ("", killed), "it is told once, and the pause is not over"
            clock.now += 0.5
            assert kept.look() == ""
            assert kept.process.pid != killed
            assert kept.process.poll() is None
            clock.now += 30
        # One that lived for long is not one that does not start.
        clock.now += 60
        kill()
        assert "after 1 min 30 s. It is started again in 1 s." in kept.look()
    assert kept.process.poll() is not None


def test_a_process_that_does_not_start_says_its_exit_code(tmp_path: Path, clock: SimpleNamespace) -> None:
    with KeptRunning("training worker", "calendar", "no-year", log=tmp_path / "log") as kept:
        kept.process.wait()
        assert kept.look().startswith("The training worker ended with code 2 after 0 s. It is started again in 1 s.")


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells a child that its parent was killed")
def test_a_child_ends_with_a_parent_that_was_killed(tmp_path: Path) -> None:
    parent = subprocess.Popen(
        [sys.executable, "-c", PARENT, str(tmp_path / "log")],
        cwd=django_settings.BASE_DIR,
        env={**os.environ, "PYTHONPATH": str(django_settings.BASE_DIR)},
        stdout=subprocess.PIPE,
        text=True,
    )
    with parent:
        child = int(parent.stdout.readline())
        os.kill(child, 0)
        parent.send_signal(signal.SIGKILL)
    # A child that nobody waits for is a zombie where no process adopts it.
    state = Path(f"/proc/{child}/stat")
    wait_until(lambda: not state.exists() or state.read_text().rpartition(")")[2].split()[0] == "Z")

"""Worker processes that a test starts, kills, stops and looks at."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from django.conf import settings as django_settings
from django.db import connection
from django.db.models import QuerySet

from classifier.models import LabelTask
from tests.faults.harm import get_token_range

REPOSITORY = Path(__file__).resolve().parents[2]
PATIENCE_SECONDS = 120.0

# One worker does not have to know of the others.
QUIET = ["--without-gossip", "--without-mingle", "--loglevel", "INFO"]

# soft < hard < lease < visibility, as in production, and short enough for a test to wait for.
LIMITS = {
    "LABELLING_SOFT_LIMIT_SECONDS": "4",
    "LABELLING_HARD_LIMIT_SECONDS": "5",
    "LABELLING_LEASE_SECONDS": "6",
    "BROKER_VISIBILITY_SECONDS": "8",
    "LABELLING_SWEEP_SECONDS": "0.5",
    "LABELLING_RESEND_SECONDS": "3",
    # Two workers at most: what is tried again does not wait behind more than that.
    "LABELLING_QUEUE_BATCHES": "4",
    "WORKER_SOFT_SHUTDOWN_SECONDS": "2",
    "WORKER_LOST_WAIT_SECONDS": "0.5",
    "TRAINING_HEARTBEAT_SECONDS": "5",
}
# For whole batches of 32, which take longer than the few pictures of a single fault.
BATCH_LIMITS = LIMITS | {
    "LABELLING_SOFT_LIMIT_SECONDS": "5",
    "LABELLING_HARD_LIMIT_SECONDS": "6",
    "LABELLING_LEASE_SECONDS": "7",
    "BROKER_VISIBILITY_SECONDS": "9",
}


def wait_until(condition: Callable[[], Any], *, what: str, seconds: float = PATIENCE_SECONDS) -> Any:
    """Wait until `condition` returns something true and return that; fail with `what` and the time after `seconds`."""
    deadline = time.monotonic() + seconds
    while not (result := condition()):
        assert time.monotonic() < deadline, f"expected {what} within {seconds:.0f} s"
        time.sleep(0.05)
    return result


@dataclass
class Worker:
    """A worker: its main process, which leads a group with its children, and its log."""

    pid: int
    queue: str
    log: Path

    def is_alive(self) -> bool:
        """Whether the main process is there."""
        return not _is_gone(self.pid)

    def children(self) -> list[int]:
        """Return the processes that do the work."""
        with suppress(FileNotFoundError, ProcessLookupError):
            return [int(pid) for pid in Path(f"/proc/{self.pid}/task/{self.pid}/children").read_text().split()]
        return []

    def is_ready(self) -> bool:
        """Whether it consumes its queue and has a child that could work."""
        return " ready." in self.read_log() and bool(self.children())

    def read_log(self) -> str:
        """Return what it logged so far; nothing while it is being started."""
        return self.log.read_text() if self.log.exists() else ""

    def signal(self, number: int) -> None:
        """Send a signal to the main process."""
        os.kill(self.pid, number)

    def signal_all(self, number: int) -> None:
        """Send a signal to the main process and its children."""
        os.killpg(self.pid, number)

    def kill(self) -> list[int]:
        """Kill the worker, wait until it is gone with its children, and return the children's pids."""
        children = self.children()
        with suppress(ProcessLookupError):
            os.killpg(self.pid, signal.SIGKILL)
        wait_until(lambda: all(map(_is_gone, (self.pid, *children))), what=f"worker {self.pid} to end at SIGKILL")
        return children

    def kill_child(self) -> int | None:
        """Kill one child, wait until it is gone, and return its pid; None if there is none just now."""
        children = self.children()
        if not children:
            return None
        with suppress(ProcessLookupError):
            os.kill(children[0], signal.SIGKILL)
        wait_until(lambda: _is_gone(children[0]), what=f"child {children[0]} to end at SIGKILL")
        return children[0]


def _is_gone(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
    except (FileNotFoundError, ProcessLookupError):
        return True


def list_held_by(pid: int) -> QuerySet[LabelTask]:
    """Return the tasks that the process with this pid holds, or held until it died."""
    first, last = get_token_range(pid)
    return LabelTask.objects.filter(state="running", lease_token__gte=first, lease_token__lte=last)


class Nursery:
    """The process that forks workers; their broker and their limits are the same for all."""

    def __init__(self, folder: Path, *, redis_url: str, limits: dict[str, str] = LIMITS) -> None:
        self.redis_url = redis_url
        self.log = folder / "nursery.log"
        environment = {
            **os.environ,
            **limits,
            "DJANGO_SETTINGS_MODULE": "config.settings.base",
            "SECRET_KEY": "only-for-tests-" + "x" * 50,
            "REDIS_URL": redis_url,
        }
        with self.log.open("wb") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "tests.faults.nursery"],
                cwd=REPOSITORY,
                env=environment,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=log,
                text=True,
            )

    def fork(self, order: dict[str, Any]) -> int:
        """Fork a worker and return its pid."""
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.write(json.dumps(order) + "\n")
        self.process.stdin.flush()
        answer = self.process.stdout.readline()
        assert answer, self.log.read_text()
        return int(answer)

    def stop(self) -> None:
        """End the process and every worker it started."""
        assert self.process.stdin is not None
        self.process.stdin.close()
        self.process.wait(30)


@dataclass
class Crew:
    """The workers of one test, on its database, media storage and artefacts; all of them are killed at its end."""

    nursery: Nursery
    folder: Path
    workers: list[Worker] = field(default_factory=list)

    def start(self, queue: str = "labelling", *, environ: dict[str, str] | None = None, **differences: Any) -> Worker:
        """Start a worker with one child and return it.

        `differences` are the keys `settings`, `database` and `broker_options` (dictionaries) and `small_disk` (a
        folder) of the nursery's order.
        """
        number = len(self.workers) + 1
        log = self.folder / f"worker-{number}.log"
        database = {name: connection.settings_dict[name] for name in ("NAME", "USER", "PASSWORD", "HOST", "PORT")}
        order = {
            "argv": ["worker", "-Q", queue, "-c", "1", "-n", f"{queue}-{number}@test", *QUIET],
            "log": str(log),
            "environ": environ or {},
            "settings": {
                "MEDIA_ROOT": str(django_settings.MEDIA_ROOT),
                "ARTEFACTS_DIR": str(django_settings.ARTEFACTS_DIR),
                **differences.get("settings", {}),
            },
            "database": database | differences.get("database", {}),
            "broker_options": differences.get("broker_options", {}),
            "small_disk": differences.get("small_disk", ""),
        }
        worker = Worker(pid=self.nursery.fork(order), queue=queue, log=log)
        self.workers.append(worker)
        return worker

    def start_ready(self, queue: str = "labelling", **options: Any) -> Worker:
        """Start a worker, as `start` does, and wait until it is ready."""
        worker = self.start(queue, **options)
        wait_until(worker.is_ready, what="a worker to be ready")
        return worker

    def stop(self) -> None:
        """Kill every worker that is left."""
        for worker in self.workers:
            if worker.is_alive():
                worker.kill()

    def read_logs(self) -> str:
        """Return what all workers logged."""
        return "\n".join(worker.read_log() for worker in self.workers)

"""The demo left alone: ``python -m tests.classifier.management.lasting_demo``, or a line of ``make proof``.

Starts it on a folder of its own with other work beside it, asks for a labelling run now and then as a person would, and
counts the workers that ended and the runs that nobody finished.
"""

import argparse
import json
import multiprocessing
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import asdict, dataclass, field
from http.cookiejar import CookieJar
from pathlib import Path
from typing import Any
from urllib.error import HTTPError
from urllib.parse import urlencode

from tests.support.ports import find_port

REPOSITORY = Path(__file__).resolve().parents[3]
# Not one after which a run would be called slow: one that ends later would not end at all.
START_SECONDS, RUN_SECONDS = 900.0, 300.0
SIGN_IN = "/admin/login/"


@dataclass
class Outcome:
    """What became of the demo; `silent` are the queues that `healthz/workers` calls so at the end."""

    minutes: float
    busy: int
    runs: int = 0
    runs_stuck: int = 0
    workers_ended: int = 0
    silent: list[str] = field(default_factory=list)
    slowest_run_seconds: float = 0.0

    def is_clean(self) -> bool:
        """Whether every run was done and every worker lives."""
        return self.runs > 0 and not (self.runs_stuck or self.workers_ended or self.silent)


class Site:
    """The demo's site, as a browser sees it that somebody signed in with."""

    def __init__(self, address: str) -> None:
        self.address = address
        self.cookies = CookieJar()
        self.opener = urllib.request.build_opener(urllib.request.HTTPCookieProcessor(self.cookies))

    def ask(self, path: str, body: bytes | None = None, *, kind: str = "application/json") -> str:
        """Answer with a page, or with what is said to a form or document that is sent; raises `OSError`."""
        tokens = {cookie.name: cookie.value or "" for cookie in self.cookies}
        headers = {"Content-Type": kind, "X-CSRFToken": tokens.get("csrftoken", ""), "Referer": self.address}
        request = urllib.request.Request(self.address + path, data=body, headers=headers if body is not None else {})
        with self.opener.open(request, timeout=30) as answer:
            return str(answer.read().decode())

    def sign_in(self, password: str) -> None:
        """Sign in as the demo's administrator."""
        self.ask(SIGN_IN)
        form = urlencode({"username": "admin", "password": password, "next": "/healthz/live"}).encode()
        assert "ok" in self.ask(SIGN_IN, form, kind="application/x-www-form-urlencoded"), "expected to be signed in"

    def label_again(self, pictures: int | None) -> bool:
        """Start a run over so many pictures, or every one, and return whether it was done in good time."""
        wish = json.dumps({"relabel": True, "limit": pictures}).encode()
        run = json.loads(self.ask("/api/v1/labelling-runs/", wish))

        def has_ended() -> bool:
            return bool(json.loads(self.ask(f"/api/v1/labelling-runs/{run['id']}/"))["state"] == "done")

        return wait_until(has_ended, seconds=RUN_SECONDS)

    def list_silent(self) -> list[str]:
        """Return the queues that workers served and do not serve."""
        try:
            checks = json.loads(self.ask("/healthz/workers"))["checks"]
        except HTTPError as error:  # 503 has the same document
            checks = json.loads(error.read())["checks"]
        return [queue for queue, state in checks.items() if state != "ok"]


def wait_until(condition: Callable[[], Any], *, seconds: float) -> bool:
    """Wait for the condition, and return whether it came true in so many seconds."""
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.5)
    return True


def be_busy() -> None:
    """Use a processor."""
    while True:
        sum(range(100_000))


def watch(folder: Path, *, minutes: float, every: float, busy: int) -> Outcome:
    """Run the demo in the folder for so many minutes, and return what became of it."""
    outcome, output = Outcome(minutes=minutes, busy=busy), folder / "output"
    port = find_port()
    site = Site(f"http://127.0.0.1:{port}")
    kept = {name: value for name, value in os.environ.items() if name not in ("DATABASE_URL", "REDIS_URL")}
    environment = {
        **kept,
        "DJANGO_SETTINGS_MODULE": "config.settings.base",
        "VAR_DIR": str(folder / "var"),
        "PORT": str(port),
    }
    with ExitStack() as stack:
        file = stack.enter_context(output.open("wb"))
        demo = subprocess.Popen(
            [sys.executable, "manage.py", "demo"], cwd=REPOSITORY, env=environment, stdout=file, stderr=file
        )
        stack.enter_context(demo)
        stack.callback(demo.send_signal, signal.SIGINT)
        for _ in range(busy):
            process = multiprocessing.Process(target=be_busy, daemon=True)
            process.start()
            stack.callback(process.kill)

        assert wait_until(lambda: "The site is on" in output.read_text() or demo.poll(), seconds=START_SECONDS)
        password = re.search(r"as admin with the password (\S+)", output.read_text())
        assert password, output.read_text()
        wait_until(lambda: is_up(site), seconds=START_SECONDS)
        site.sign_in(password[1])
        use(site, outcome, every=every, output=output)
    return outcome


def use(site: Site, outcome: Outcome, *, every: float, output: Path, pictures: int | None = None) -> None:
    """Ask for a run every so many minutes, for as long as the outcome says, and add what became of runs and workers."""
    end = time.monotonic() + 60 * outcome.minutes
    while (started := time.monotonic()) < end:
        outcome.runs += 1
        outcome.runs_stuck += not site.label_again(pictures)
        took = time.monotonic() - started
        outcome.slowest_run_seconds = max(outcome.slowest_run_seconds, round(took, 1))
        time.sleep(max(0.0, min(60 * every - took, end - time.monotonic())))
    outcome.silent = site.list_silent()
    outcome.workers_ended = len(re.findall(r"^The \w+ worker .* started again", output.read_text(), re.MULTILINE))


def is_up(site: Site) -> bool:
    """Whether the site answers."""
    try:
        return "ok" in site.ask("/healthz/live")
    except OSError:
        return False


def main() -> int:
    """Leave the demo alone, print what became of it, and return 1 if a worker ended or a run was never done."""
    program = "python -m tests.classifier.management.lasting_demo"
    parser = argparse.ArgumentParser(prog=program, description=main.__doc__)
    parser.add_argument("--minutes", type=float, default=60.0, help="how long (%(default)s)")
    parser.add_argument("--every", type=float, default=5.0, metavar="MINUTES", help="between two runs (%(default)s)")
    parser.add_argument("--busy", type=int, default=os.cpu_count(), help="processes at work beside it (%(default)s)")
    parser.add_argument("--json", action="store_true", help="print the outcome as one JSON document")
    arguments = parser.parse_args()
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # so that the demo is ended with it
    folder = Path(tempfile.mkdtemp(prefix="demo-"))
    try:
        outcome = watch(folder, minutes=arguments.minutes, every=arguments.every, busy=arguments.busy)
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    sys.stdout.write(json.dumps(asdict(outcome)) if arguments.json else f"{outcome}")
    sys.stdout.write("\n")
    return 0 if outcome.is_clean() else 1


if __name__ == "__main__":
    sys.exit(main())

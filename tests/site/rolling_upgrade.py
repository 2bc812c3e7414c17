"""A rolling upgrade under load: sites and workers of an earlier commit are replaced one by one while all goes on.

    python -m tests.site.rolling_upgrade [--base COMMIT] [--requests N] [--pictures N] [--seed N] [--json]

Two sites and two workers of the earlier commit label a catalogue while pages and API are asked so often a second, and
people's labels are given. Then this commit's migrations are applied, and each process is stopped by SIGTERM and started
from this commit: workers first, then the sites, each of which gets no requests from when it is told to stop until it is
ready, as any balancer does it. Then all go back to the earlier commit, on the schema of this one: sites first, then the
workers, which label some pictures once more. Exit status 1: a request failed, or a label was lost or came twice.
"""

import argparse
import http.client
import json
import os
import random
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing, contextmanager, suppress
from dataclasses import asdict, dataclass, field
from functools import partial
from io import BytesIO
from pathlib import Path
from statistics import quantiles
from typing import Any, Final

import numpy as np
import psycopg2
from PIL import Image as PillowImage

from tests.site.old_code import BASE, checked_out
from tests.support.forks import Fork, fork, run_forked
from tests.support.ports import find_port
from tests.support.servers import DURABLE_SETTINGS, REPOSITORY, TEMPLATE_VARIABLE, Server, start_postgresql, start_redis

#: Pictures that the earlier commit labels once more, a batch.
_LABELLED_AGAIN: Final = 32
#: One request of so many gives a label: writes are 600 a minute at most.
_WRITE_EVERY: Final = 20
_PATIENCE_SECONDS: Final = 120.0
_GIVE_UP_SECONDS: Final = 30.0
_FILL: Final = (
    "INSERT INTO product (id, title) SELECT n, 'Product ' || n FROM generate_series(1, %(pictures)s) AS n",
    "INSERT INTO image (id, url) SELECT n, 'load/' || n || '.png' FROM generate_series(1, %(pictures)s) AS n",
    "INSERT INTO productimages (productid, imageid, imageindex) SELECT id, id, 0 FROM product",
    """SELECT setval(pg_get_serial_sequence(name, 'id'), %(pictures)s)
       FROM (VALUES ('product'), ('image')) AS given (name)""",
    # A second label of a picture is to be seen.
    "ALTER TABLE classifier_classification DROP CONSTRAINT IF EXISTS classification_run_image_unique",
)


class UpgradeError(Exception):
    """The program itself could not go on; the message has what a process said."""


@dataclass(slots=True)
class Report:
    """What became of requests and labels."""

    base: str
    pictures: int
    requests: int = 0
    requests_per_second: float = 0.0
    refused_reviews: int = 0
    failed_requests: list[str] = field(default_factory=list)
    milliseconds_p95: float = 0.0
    upgrade_seconds: float = 0.0
    labelled_before: int = 0
    labelled_meanwhile: int = 0
    going_back_seconds: float = 0.0
    labelled_again: int = 0
    lost: int = 0
    doubled: int = 0
    failed_tasks: int = 0
    reviews: int = 0
    lost_reviews: int = 0
    finished: bool = False
    seconds: float = 0.0

    def is_clean(self) -> bool:
        """Whether nobody noticed anything."""
        lost = self.lost + self.doubled + self.failed_tasks + self.lost_reviews
        return self.finished and not self.failed_requests and lost == 0


class Balancer:
    """Says which site is asked next, and leaves one alone that is about to stop."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._serving: list[int] = []
        self._at_work: dict[int, int] = {}

    def add(self, port: int) -> None:
        """Send requests to this port as well."""
        with self._changed:
            self._serving.append(port)

    def remove(self, port: int) -> None:
        """Send none there any more, and wait until those that were sent are answered."""
        with self._changed:
            self._serving.remove(port)
            if not self._changed.wait_for(lambda: not self._at_work.get(port), timeout=_PATIENCE_SECONDS):
                raise UpgradeError(f"requests to port {port} have no answer")

    @contextmanager
    def choose(self) -> Iterator[int]:
        """Give the port that is asked."""
        with self._changed:
            port = min(self._serving, key=lambda each: self._at_work.get(each, 0))
            self._at_work[port] = self._at_work.get(port, 0) + 1
        try:
            yield port
        finally:
            with self._changed:
                self._at_work[port] -= 1
                self._changed.notify_all()


class Load:
    """Asks pages and API so often a second, whatever that takes, until it is stopped."""

    def __init__(self, balancer: Balancer, *, per_second: float, pictures: int, key: str, seed: int) -> None:
        self.balancer, self.per_second, self.pictures = balancer, per_second, pictures
        self.headers = {"Authorization": f"Token {key}", "Connection": "close", "Content-Type": "application/json"}
        self.random = random.Random(seed)
        self.asked, self.refused = 0, 0
        self.failed: list[str] = []
        self.milliseconds: list[float] = []
        self.reviews: list[int] = []
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._send)

    def __enter__(self) -> "Load":
        self.started = time.monotonic()
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self.seconds = time.monotonic() - self.started
        self._thread.join()

    def _send(self) -> None:
        # So many that none waits for another's answer to be sent: the rate holds while processes start anew.
        with ThreadPoolExecutor(256) as pool:
            while not self._stop.is_set():
                pool.submit(self._ask, *self._choose(self.asked))
                self.asked += 1
                pause = self.started + self.asked / self.per_second - time.monotonic()
                if pause > 0:
                    self._stop.wait(pause)

    def _choose(self, number: int) -> tuple[str, str, dict[str, Any] | None]:
        pk = self.random.randint(1, self.pictures)
        if number % _WRITE_EVERY == 0:
            return "POST", "/api/v1/reviews/", {"image": pk, "group": "Bags", "garment": "Bag", "note": ""}
        paths = (
            "/",
            "/products/",
            f"/products/{pk}/",
            "/products/?status=labelled",
            f"/products/?q=product+{pk}",
            "/api/v1/labelling-runs/1/",
            "/api/v1/products/?page_size=50",
            f"/api/v1/products/{pk}/",
            "/api/v1/labels/changes/",
            "/api/v1/errors/",
            "/healthz/live",
        )
        return "GET", self.random.choice(paths), None

    def _ask(self, method: str, path: str, document: dict[str, Any] | None, *, again: bool = False) -> None:
        started = time.monotonic()
        body = json.dumps(document).encode() if document is not None else None
        try:
            with self.balancer.choose() as port:
                connection = http.client.HTTPConnection("127.0.0.1", port, timeout=_GIVE_UP_SECONDS)
                connection.request(method, path, body=body, headers=self.headers)
                response = connection.getresponse()
                content = response.read()
                connection.close()
        except (OSError, http.client.HTTPException, ValueError) as error:
            self.failed.append(f"{method} {path}: {type(error).__name__}: {error}")
            return
        self.milliseconds.append(1000 * (time.monotonic() - started))
        if response.status == 409 and not again:
            # The picture was seen for the first time while it was reviewed: whoever reviews it looks at it again.
            self.refused += 1
            self._ask(method, path, document, again=True)
        elif response.status not in (200, 201):
            self.failed.append(f"{method} {path}: {response.status}: {content[:200]!r}")
        elif method == "POST":
            self.reviews.append(json.loads(content)["id"])


class Stage:
    """The database, the broker, and the processes of either commit that use them."""

    def __init__(self, folder: Path, *, database: Server, broker: Server, forks: bool) -> None:
        self.folder, self.database, self.forks = folder, database, forks
        self.processes: dict[str, subprocess.Popen[bytes] | Fork] = {}
        self.environment = {
            **{name: value for name, value in os.environ.items() if not name.startswith("TEST_")},
            "DJANGO_SETTINGS_MODULE": "config.settings.base",
            "DATABASE_URL": database.url,
            "REDIS_URL": broker.url,
            "SECRET_KEY": "only-for-tests-" + "x" * 50,
            "VAR_DIR": str(folder / "var"),
            "MEDIA_ROOT": str(folder / "media"),
            "ARTEFACTS_DIR": str(folder / "artefacts"),
            "APPROVALS": "one",
            "LOG_LEVEL": "WARNING",
        }

    def manage(self, tree: Path, *commands: tuple[str, ...]) -> str:
        """Run management commands of a tree, in one process, and return what they print."""
        program, place = ("-c", _MANAGE, json.dumps(commands)), {"cwd": tree, "env": self.environment}
        if self.forks:
            done = run_forked(*program, **place)
        else:
            done = subprocess.run([sys.executable, *program], capture_output=True, text=True, check=False, **place)
        if done.returncode:
            raise UpgradeError(f"{commands} of manage.py ended with {done.returncode}: {done.stderr}")
        return done.stdout

    def start(self, tree: Path, name: str, *arguments: str) -> None:
        """Start `python -m arguments` of a tree under this name."""
        path, program, place = self.folder / f"{name}.log", ("-m", *arguments), {"cwd": tree, "env": self.environment}
        if self.forks:
            self.processes[name] = fork(*program, output=path, **place)
            return
        with path.open("ab") as log:
            self.processes[name] = subprocess.Popen([sys.executable, *program], stdout=log, stderr=log, **place)

    def start_worker(self, tree: Path, number: int) -> None:
        """Start a labelling worker with one child."""
        quiet = ("--without-gossip", "--without-mingle", "-l", "WARNING")
        self.start(tree, f"worker-{number}", *_WORKER, "-n", f"worker-{number}@{tree.name}", *quiet)

    def start_sites(self, tree: Path, *ports: int) -> None:
        """Start sites, and wait until they are ready."""
        options: tuple[str, ...] = ()
        if self.forks and tree != REPOSITORY:
            # The earlier one's own checks the settings in another interpreter.
            options = ("--config", str(self.folder / "gunicorn.conf.py"))
            Path(options[-1]).write_text("control_socket_disable = True\n")
        for port in ports:
            self.start(tree, f"site-{port}", *_SITE, *options, "--bind", f"127.0.0.1:{port}")
        for port in ports:
            name = f"site-{port}"
            self.wait(partial(_is_ready, port), what=f"{name} to be ready", name=name)

    def replace_workers(self, tree: Path) -> None:
        """Stop both workers and start them from a tree, one after the other."""
        for number in range(2):
            self.stop(f"worker-{number}")
            self.start_worker(tree, number)

    def replace_sites(self, tree: Path, *ports: int, balancer: Balancer) -> None:
        """Stop the sites and start them from a tree, one after the other; the balancer sends no requests meanwhile."""
        for port in ports:
            balancer.remove(port)
            self.stop(f"site-{port}")
            self.start_sites(tree, port)
            balancer.add(port)

    def stop(self, name: str) -> None:
        """Stop a process as a supervisor does, and wait until it is gone."""
        process = self.processes.pop(name)
        process.terminate()
        try:
            process.wait(_PATIENCE_SECONDS)
        except subprocess.TimeoutExpired as error:
            process.kill()
            raise UpgradeError(f"{name} did not end at SIGTERM: {self.read_log(name)}") from error

    def wait(
        self, condition: Callable[[], object], *, what: str, name: str, seconds: float = _PATIENCE_SECONDS
    ) -> None:
        """Wait until the condition is true while the process lives."""
        deadline = time.monotonic() + seconds
        while not condition():
            if self.processes[name].poll() is not None or time.monotonic() > deadline:
                raise UpgradeError(f"expected {what}: {self.read_log(name)}")
            time.sleep(0.1)

    def read_log(self, name: str) -> str:
        """Return the end of what a process said."""
        return (self.folder / f"{name}.log").read_text()[-4000:]

    def ask(self, statement: str, *parameters: Any) -> Any:
        """Return the first value that a statement gives."""
        database = psycopg2.connect(host=str(self.database.folder), user="postgres", dbname="postgres")
        with closing(database), database.cursor() as cursor:
            cursor.execute(statement, parameters)
            row = cursor.fetchone()
        return row[0] if row else None

    def fill(self, pictures: int) -> None:
        """Make the catalogue: a product with a picture of its own, each."""
        connection = psycopg2.connect(host=str(self.database.folder), user="postgres", dbname="postgres")
        connection.autocommit = True
        with connection.cursor() as cursor:
            for statement in _FILL:
                cursor.execute(statement, {"pictures": pictures})
        connection.close()
        (self.folder / "media/load").mkdir(parents=True)
        noise = np.random.default_rng(1)
        for number in range(1, pictures + 1):
            buffer = BytesIO()
            PillowImage.fromarray(noise.integers(0, 255, (32, 32, 3), dtype=np.uint8)).save(buffer, "PNG")
            (self.folder / f"media/load/{number}.png").write_bytes(buffer.getvalue())


_MANAGE: Final = """
import json, sys, django
django.setup()
from django.core.management import call_command
for command in json.loads(sys.argv[1]):
    call_command(*command)
"""
_WORKER: Final = ("celery", "-A", "config", "worker", "-Q", "labelling", "-c", "1")
_SITE: Final = ("gunicorn", "config.wsgi", "--workers", "1", "--threads", "8")


def _is_ready(port: int) -> bool:
    with suppress(OSError, http.client.HTTPException):
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=5)
        connection.request("GET", "/healthz/ready", headers={"Connection": "close"})
        return connection.getresponse().status == 200
    return False


def upgrade(*, base: str, per_second: float, pictures: int, seed: int, forks_of: Path | None = None) -> Report:
    """Do it, and return what became of requests and labels. Raises `UpgradeError` and `LookupError`.

    With `forks_of`, a tree of the base that is `forking`, the processes of both commits are forks.
    """
    report = Report(base, pictures)
    started = time.monotonic()
    os.environ.pop(TEMPLATE_VARIABLE, None)
    with ExitStack() as stack:
        old = forks_of or stack.enter_context(checked_out(base))
        folder = Path(tempfile.mkdtemp(prefix="rolling-"))
        stack.callback(shutil.rmtree, folder, ignore_errors=True)
        database = start_postgresql(server_settings=DURABLE_SETTINGS)
        stack.callback(database.stop)
        broker = start_redis()
        stack.callback(broker.stop)
        stage = Stage(folder, database=database, broker=broker, forks=forks_of is not None)
        stack.callback(_end_all, stage)
        artefact = "classifier/artefacts/default"
        stage.manage(old, ("migrate", "--verbosity", "0"), ("register_model_version", artefact, "--activate"))
        stage.fill(pictures)
        made = stage.manage(
            old,
            ("refresh_labels",),
            ("createsuperuser", "--no-input", "--username", "ann", "--email", "a@shop.example"),
            ("api_tokens", "--user", "ann", "--make", "load", "--json"),
        )
        key = json.loads(made.splitlines()[-1])["key"]
        balancer, ports = Balancer(), [find_port(), find_port()]
        for number in range(2):
            stage.start_worker(old, number)
        stage.start_sites(old, *ports)
        for port in ports:
            balancer.add(port)
        load = Load(balancer, per_second=per_second, pictures=pictures, key=key, seed=seed)
        run = _start_run(ports[0], headers=load.headers, relabel=False)
        with load:
            stage.wait(
                lambda: _count_labelled(stage) > pictures // 20, what="first labels", name="worker-0", seconds=300
            )
            report.labelled_before, upgrading = _count_labelled(stage), time.monotonic()
            stage.manage(REPOSITORY, ("migrate", "--verbosity", "0"))
            stage.replace_workers(REPOSITORY)
            stage.replace_sites(REPOSITORY, *ports, balancer=balancer)
            report.upgrade_seconds = round(time.monotonic() - upgrading, 1)
            report.labelled_meanwhile = _count_labelled(stage) - report.labelled_before
            finished = _wait_for_end(stage, run, seconds=60 + pictures / 4)
            going_back = time.monotonic()
            stage.replace_sites(old, *ports, balancer=balancer)
            stage.replace_workers(old)
            report.going_back_seconds = round(time.monotonic() - going_back, 1)
            again = _start_run(ports[0], headers=load.headers, relabel=True, limit=_LABELLED_AGAIN)
            report.finished = _wait_for_end(stage, again, seconds=60) and finished
            report.labelled_again = _count_labelled(stage, run=again)
        _judge(report, stage, load, run=run)
    report.seconds = round(time.monotonic() - started, 1)
    return report


def _start_run(port: int, *, headers: dict[str, str], **options: Any) -> int:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=_GIVE_UP_SECONDS)
    connection.request("POST", "/api/v1/labelling-runs/", body=json.dumps(options).encode(), headers=headers)
    response = connection.getresponse()
    content = response.read()
    connection.close()
    if response.status != 202:
        raise UpgradeError(f"expected a labelling run, received {response.status}: {content[:300]!r}")
    return int(json.loads(content)["id"])


def _wait_for_end(stage: Stage, run: int, *, seconds: float) -> bool:
    """Wait until a labelling run has ended; return whether it has, within so many seconds."""
    ended = "SELECT state <> 'running' AND state <> 'queued' FROM classifier_labellingrun WHERE id = %s"
    deadline = time.monotonic() + seconds
    while not (is_over := bool(stage.ask(ended, run))) and time.monotonic() < deadline:
        time.sleep(0.5)
    return is_over


def _count_labelled(stage: Stage, run: int | None = None) -> int:
    return int(stage.ask("SELECT count(*) FROM classifier_classification WHERE %s IS NULL OR run_id = %s", run, run))


def _judge(report: Report, stage: Stage, load: Load, *, run: int) -> None:
    report.requests = load.asked
    report.requests_per_second = round(report.requests / load.seconds, 1)
    report.milliseconds_p95 = round(quantiles(load.milliseconds, n=20)[-1], 1) if len(load.milliseconds) > 1 else 0.0
    report.failed_requests, report.refused_reviews = load.failed, load.refused
    report.lost = stage.ask(
        "SELECT count(*) FROM image WHERE NOT EXISTS "
        "(SELECT FROM classifier_classification WHERE image_id = image.id AND run_id = %s)", run
    )  # fmt: skip
    report.doubled = stage.ask(
        "SELECT count(*) FROM (SELECT image_id FROM classifier_classification GROUP BY image_id, run_id "
        "HAVING count(*) > 1) AS doubled"
    )
    report.failed_tasks = stage.ask("SELECT count(*) FROM classifier_labeltask WHERE state <> 'done'")
    report.reviews = len(load.reviews)
    there = stage.ask("SELECT count(*) FROM classifier_review WHERE id = ANY(%s)", load.reviews or [0])
    report.lost_reviews = len(load.reviews) - there


def _end_all(stage: Stage) -> None:
    for process in stage.processes.values():
        process.terminate()
    for process in stage.processes.values():
        try:
            process.wait(20)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def main() -> int:
    """Upgrade and report; return the exit status."""
    parser = argparse.ArgumentParser(
        prog="python -m tests.site.rolling_upgrade", description=__doc__.partition("\n")[0]
    )
    parser.add_argument("--base", default=BASE, metavar="COMMIT", help="the earlier commit (%(default)s)")
    parser.add_argument("--requests", type=float, default=50, metavar="N", help="a second (%(default)s)")
    parser.add_argument("--pictures", type=int, default=2_000, metavar="N", help="that are labelled (%(default)s)")
    parser.add_argument("--seed", type=int, default=1, metavar="N", help="of what is asked (%(default)s)")
    parser.add_argument("--json", action="store_true", help="print the result as one JSON document")
    options = parser.parse_args()
    try:
        report = upgrade(base=options.base, per_second=options.requests, pictures=options.pictures, seed=options.seed)
    except (LookupError, UpgradeError) as error:
        sys.stderr.write(f"{error}\n")
        return 2
    if options.json:
        sys.stdout.write(json.dumps({"seed": options.seed, **asdict(report)}) + "\n")
    else:
        sys.stdout.writelines(f"{name.replace('_', ' '):24} {value}\n" for name, value in asdict(report).items())
    return int(not report.is_clean())


if __name__ == "__main__":
    sys.exit(main())

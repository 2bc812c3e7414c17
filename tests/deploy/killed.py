"""Every process that compose.yaml names, killed in random order while a run labels: ``python -m tests.deploy.killed``.

Each dies with all that it started, as a container does, and is started again, as `restart` says. The commands, the
settings and the limits are those of compose.yaml. Database and broker are the tests' servers. What has no image or no
program here, as the front without Caddy 2.7 or newer, is left out, which the report says.
"""

import argparse
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import psutil

from tests.deploy.composed import Composed
from tests.support.front import find_caddy
from tests.support.light import REPOSITORY
from tests.support.ports import find_port, is_listening
from tests.support.servers import Server

if TYPE_CHECKING:
    from classifier.models import LabellingRun

START_SECONDS = 300.0
POLL_SECONDS = 0.2
#: After so much of the run nobody is killed any more, so that all of it matters.
LAST_SHARE = 0.9
#: What ends by itself, and is killed before that.
ONE_SHOTS = ("migrate", "backup")


@dataclass
class Outcome:
    """What became of the run; `way` is how the product's processes ran."""

    labels: int
    way: str
    kills: dict[str, int] = field(default_factory=dict)
    left_out: list[str] = field(default_factory=list)
    finished: bool = False
    lost: int = 0
    doubled: int = 0
    failed: int = 0
    site_serves: bool = False
    elapsed_seconds: float = 0.0

    def is_clean(self) -> bool:
        """Whether the run ended with every label, once, and the site is there."""
        return self.finished and self.site_serves and self.lost == self.doubled == self.failed == 0


class Victims:
    """The processes by name, and how each is killed and started again."""

    def __init__(self, product: Composed, *, database: Server, broker: Server, is_hasty: bool) -> None:
        self.product, self.database, self.broker, self.is_hasty = product, database, broker, is_hasty
        self.front = Front(product) if find_caddy() else None
        one_shots = [name for name in ONE_SHOTS if product.can_run(name)]
        self.killers: dict[str, Callable[[], None]] = {
            "database": self._kill_database,
            "broker": self._kill_broker,
            **{name: self._build_interrupter(name) for name in one_shots},
            **{name: self._build_killer(name) for name in ("site", "labelling", "training")},
        }
        self.left_out = [f"{name}: no image of it here" for name in ONE_SHOTS if name not in one_shots]
        if self.front is None:
            self.left_out.append("front: no Caddy 2.7 or newer")
        else:
            self.killers["front"] = self.front.restart

    def start(self) -> None:
        """Start what goes on running, as often as compose.yaml says."""
        for name, number in (("site", 1), ("labelling", 1), ("labelling", 2), ("training", 1)):
            self.product.start(name, number=number)
        if self.front is not None:
            self.front.start()

    def revive(self) -> None:
        """Start again what has ended by itself, which a process may do whose server is gone."""
        for key, process in list(self.product.processes.items()):
            name, _, number = key.rpartition("-")
            if name not in ONE_SHOTS and process.poll() is not None:
                self.product.start(name, number=int(number))

    def _build_killer(self, name: str) -> Callable[[], None]:
        def kill() -> None:
            numbers = range(1, int(self.product.services[name].get("deploy", {}).get("replicas", 1)) + 1)
            number = random.choice(numbers)
            self.product.kill(f"{name}-{number}")
            if self.is_hasty and name == "labelling":
                end_leases()
            self.product.start(name, number=number)

        return kill

    def _build_interrupter(self, name: str) -> Callable[[], None]:
        """Begin a backup, or the migrations of a database that has them, as an interrupted upgrade does; kill it."""

        def interrupt() -> None:
            process = self.product.start(name)
            with suppress(subprocess.TimeoutExpired):
                process.wait(random.uniform(0.1, 2.0))
            self.product.kill(f"{name}-1")

        return interrupt

    def _kill_broker(self) -> None:
        self.broker.kill(signal.SIGKILL)
        self.broker.start()

    def _kill_database(self) -> None:
        """Kill the server with its children: what had not reached the disk is gone."""
        supervisor = psutil.Process(self.database.supervisors[-1].pid)
        servers = [child for child in supervisor.children(recursive=True) if child.name() != "cat"]
        for server in servers:
            with suppress(psutil.NoSuchProcess):
                server.kill()
        psutil.wait_procs(servers, timeout=30)
        (self.database.folder / "data/postmaster.pid").unlink(missing_ok=True)
        self.database.start()


class Front:
    """Caddy with deploy/Caddyfile, before the site."""

    def __init__(self, product: Composed) -> None:
        self.folder, self.port = product.folder / "front", find_port()
        self.folder.mkdir()
        text = (REPOSITORY / "deploy/Caddyfile").read_text()
        text = text.replace("site:8000", f"127.0.0.1:{product.port}")
        # Without names and certificates of the world outside.
        text = text.replace("{$SITE_NAME:localhost}", f"http://localhost:{self.port}")
        (self.folder / "Caddyfile").write_text(text)
        self.process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start it."""
        command = [find_caddy(), "run", "--config", self.folder / "Caddyfile", "--adapter", "caddyfile"]
        with (self.folder / "log").open("ab") as log:
            self.process = subprocess.Popen(
                command, stdout=log, stderr=log, env=os.environ | {"HOME": str(self.folder)}, start_new_session=True
            )

    def restart(self) -> None:
        """Kill it and start another."""
        self.stop()
        self.start()

    def stop(self) -> None:
        """Kill it."""
        if self.process is not None:
            self.process.kill()
            self.process.wait()


def end_leases() -> None:
    """Let every lease run out now; who holds one and lives is refused, and what it had is done again."""
    from django.db.models.functions import Now

    from classifier.models import LabelTask

    LabelTask.objects.filter(state=LabelTask.State.RUNNING).update(lease_until=Now())


def label_under_fire(victims: Victims, *, run: "LabellingRun", outcome: Outcome, kills: int, patience: float) -> None:
    """Kill in random order, at even distances of the run's progress, until the run ends or patience does."""
    from django.db import Error, connection

    from classifier.models import Classification, LabellingRun

    names = list(victims.killers)
    order = [name for _round in range(-(-kills // len(names))) for name in random.sample(names, len(names))][:kills]
    counts: Counter[str] = Counter()
    started = time.monotonic()
    while time.monotonic() - started < patience:
        try:
            done = Classification.objects.filter(run=run).count()
            is_over = LabellingRun.objects.get(pk=run.pk).state == LabellingRun.State.DONE
        except Error:  # our own connection died with the server
            connection.close()
            continue
        while order and done >= outcome.labels * LAST_SHARE * counts.total() / kills:
            name = order.pop(0)
            victims.killers[name]()
            counts[name] += 1
            done = 0  # look again before the next
        victims.revive()
        if is_over and not order:
            outcome.finished = True
            break
        time.sleep(POLL_SECONDS)
    connection.close()
    outcome.elapsed_seconds = round(time.monotonic() - started, 1)
    outcome.kills = dict(sorted(counts.items()))


def judge(run: "LabellingRun", *, outcome: Outcome) -> None:
    """Count what is wrong with the labels."""
    from tests.faults.chaos import count_lost_and_doubled

    outcome.lost, outcome.doubled = count_lost_and_doubled(run)
    outcome.failed = run.tasks.errors().count()


def serves(port: int) -> bool:
    """Whether the site answers with its list."""
    deadline = time.monotonic() + START_SECONDS
    request = urllib.request.Request(
        f"http://127.0.0.1:{port}/api/v1/products/", headers={"Host": "localhost", "X-Forwarded-Proto": "https"}
    )
    while time.monotonic() < deadline:
        if is_listening(port):
            with suppress(OSError), urllib.request.urlopen(request, timeout=30) as answer:
                return bool(answer.status == 200)
        time.sleep(POLL_SECONDS)
    return False


def execute(
    *,
    labels: int,
    kills: int,
    seed: int,
    is_hasty: bool,
    folder: Path,
    database: Server,
    broker: Server,
    patience: float,
    forks: bool,
) -> Outcome:
    """Do it all on migrated servers with Django set up; return what came of it."""
    from django.conf import settings

    from classifier.labelling.starting import start_labelling_run
    from classifier.ml.artefacts import DEFAULT_ARTEFACT
    from classifier.registry.services import register_model_version
    from tests.faults.chaos import allow_doubles, create_pictures
    from tests.support.artefacts import bring_into_production

    random.seed(seed)
    product = Composed(folder, database.url, broker.url, forks=forks)
    outcome = Outcome(labels, product.way)
    victims = Victims(product, database=database, broker=broker, is_hasty=is_hasty)
    outcome.left_out = victims.left_out
    try:
        assert product.run("migrate") == 0, product.read_log("migrate-1")
        # What is registered here is signed for the workers.
        settings.ARTEFACT_KEY = (product.secrets / "artefact_key").read_text()
        create_pictures(labels)
        bring_into_production(register_model_version(DEFAULT_ARTEFACT))
        allow_doubles()
        victims.start()
        run = start_labelling_run()
        label_under_fire(victims, run=run, outcome=outcome, kills=kills, patience=patience)
        judge(run, outcome=outcome)
        outcome.site_serves = serves(product.port)
    finally:
        product.stop()
        if victims.front is not None:
            victims.front.stop()
    return outcome


def main() -> int:
    """Run it, print the outcome, return 1 if a label was lost or doubled, a picture failed or the run did not end."""
    parser = argparse.ArgumentParser(prog="python -m tests.deploy.killed", description=__doc__)
    parser.add_argument("--labels", type=int, default=20_000, help="pictures to label (%(default)s)")
    parser.add_argument("--kills", type=int, default=50, help="processes to kill (%(default)s)")
    parser.add_argument("--seed", type=int, default=1, help="of every choice (%(default)s)")
    parser.add_argument("--hasty", action="store_true", help="a killed worker's lease runs out at once, not in 90 s")
    parser.add_argument("--forks", action="store_true", help="start processes as forks of one, which is faster")
    parser.add_argument("--json", action="store_true", help="print the outcome as one JSON document")
    arguments = parser.parse_args()
    folder = Path(tempfile.mkdtemp(prefix="killed-"))
    os.environ |= {
        "DJANGO_SETTINGS_MODULE": "config.settings.test",
        "VAR_DIR": str(folder / "var"),
        "SECRET_KEY": "only-for-tests-" + "x" * 50,
        "LOG_LEVEL": "WARNING",
    }
    from tests.faults.own_database import start_migrated_server
    from tests.support.servers import start_redis

    database, broker = start_migrated_server(), start_redis(durable=True)
    os.environ |= {"DATABASE_URL": database.url, "REDIS_URL": broker.url}
    import django

    django.setup()
    try:
        outcome = execute(
            labels=arguments.labels,
            kills=arguments.kills,
            seed=arguments.seed,
            is_hasty=arguments.hasty,
            folder=folder,
            database=database,
            broker=broker,
            patience=6 * 3600.0,
            forks=arguments.forks,
        )
    finally:
        broker.stop()
        database.stop()
        shutil.rmtree(folder, ignore_errors=True)
    found: dict[str, Any] = asdict(outcome)
    text = json.dumps(found) if arguments.json else "\n".join(f"{name:16} {value}" for name, value in found.items())
    sys.stdout.write(f"{text}\n")
    return 0 if outcome.is_clean() else 1


if __name__ == "__main__":
    sys.exit(main())

"""Where benchmarks run: on a PostgreSQL of their own, or on a whole site with broker, picture origin and worker."""

import argparse
import json
import os
import shutil
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import django
import psutil
from rich.console import Console

from benchmarks.catalogue_site import running_database
from benchmarks.machine import describe_machine, machine_lines
from benchmarks.origin import Origin, running_origin
from tests.support.servers import DURABLE_SETTINGS, start_postgresql, start_redis

#: As docs/operations.md starts it.
WORKER = ("celery", "-A", "config", "worker", "-Q", "labelling", "-n", "labelling@%h")


@dataclass(frozen=True, slots=True)
class Site:
    """Where the site's parts run: the first process of each, the origin, and the folder of everything it writes."""

    postgresql: int
    broker: int
    origin: Origin
    folder: Path


@contextmanager
def running_site(*, sizes: Sequence[str]) -> Iterator[Site]:
    """Run database, broker and origin while the block runs, with Django set up on them and the tables made.

    PostgreSQL writes as durably as in production. Loopback is opened to the fetcher and its rate is not limited, by
    the product's own settings. Everything is stopped and removed at the end.
    """
    with ExitStack() as stack:
        folder = Path(tempfile.mkdtemp(prefix="benchmark-"))
        stack.callback(shutil.rmtree, folder, ignore_errors=True)
        others = {child.pid for child in psutil.Process().children()}
        postgresql = start_postgresql(server_settings=DURABLE_SETTINGS)
        stack.callback(postgresql.stop)
        (postgresql_id,) = {child.pid for child in psutil.Process().children()} - others
        broker = start_redis()
        stack.callback(broker.stop)
        (broker_id,) = {child.pid for child in psutil.Process().children()} - others - {postgresql_id}
        origin = stack.enter_context(running_origin(*sizes))
        os.environ.update(
            DJANGO_SETTINGS_MODULE="config.settings.base",
            VAR_DIR=str(folder),
            DATABASE_URL=postgresql.url,
            REDIS_URL=broker.url,
            FETCH_ALLOWED_NETWORKS="127.0.0.1/32",
            FETCH_ALLOWED_PORTS=str(origin.port),
            FETCH_REQUESTS_PER_SECOND_PER_HOST="0",
        )
        os.environ.setdefault("LOG_LEVEL", "WARNING")
        for name in ("MEDIA_ROOT", "ARTEFACTS_DIR", "ARTEFACT_KEY", "DEFAULT_FILE_STORAGE"):
            os.environ.pop(name, None)
        django.setup()
        yield Site(postgresql=postgresql_id, broker=broker_id, origin=origin, folder=folder)


def run_on_database(
    parser: argparse.ArgumentParser,
    *,
    libraries: Sequence[str],
    measure: Callable[[argparse.Namespace, Callable[[str], None]], dict[str, Any]],
    print_result: Callable[..., None],
    **environment: str,
) -> None:
    """Run a benchmark of the command line on a PostgreSQL of its own, with the product's tables, and print its result.

    `measure` takes the arguments, and a function that says what it is at; `print_result` takes the result, and a
    `console`. `environment` is set before the settings are read.
    """
    parser.add_argument("--json", action="store_true", help="print the result as one JSON document")
    arguments = parser.parse_args()
    machine, errors = describe_machine(libraries), Console(stderr=True)
    os.environ |= environment
    with running_database():
        result = measure(arguments, lambda text: errors.print(f"{text} ..."))
    if arguments.json:
        sys.stdout.write(json.dumps({"machine": machine, **result}) + "\n")
        return
    console = Console(highlight=False, width=100)
    print_result(result, console=console)
    for line in machine_lines(machine):
        console.print(line)


@contextmanager
def running_worker(site: Site) -> Iterator[int]:
    """Run a labelling worker as production does, and give its main process's id; SIGTERM ends it with the block."""
    # It needs the settings, which are read when the site is up.
    from config.processes import running

    with running(*WORKER, log=site.folder / "worker.log") as process:
        yield process.pid
        if process.poll() is not None:
            sys.stderr.write((site.folder / "worker.log").read_text())
            raise RuntimeError(f"the worker ended with code {process.returncode}")

"""A labelling site for a benchmark: PostgreSQL, broker, picture origin and worker, all real and all private."""

import os
import shutil
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

import django
import psutil

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

"""A broker of the fault tests' own, the process that forks their workers, and the crew of each test.

pytest reads this file before Django has its settings; so what needs Django is imported by the fixtures.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import redis
from celery import Celery

from tests.support.servers import Server, start_redis

if TYPE_CHECKING:
    from tests.faults.workers import Crew, Nursery


@pytest.fixture(scope="session")
def broker() -> Iterator[Server]:
    """Return a Redis server that keeps its data at a kill."""
    server = start_redis(durable=True)
    yield server
    server.stop()


@pytest.fixture(scope="session")
def nursery(broker: Server, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Nursery]:
    """Return the process that forks workers."""
    from tests.faults.workers import Nursery

    nursery = Nursery(tmp_path_factory.mktemp("nursery"), redis_url=broker.url)
    yield nursery
    nursery.stop()


@pytest.fixture(scope="session")
def batch_nursery(broker: Server, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Nursery]:
    """Return the process that forks workers with limits for whole batches."""
    from tests.faults.workers import BATCH_LIMITS, Nursery

    nursery = Nursery(tmp_path_factory.mktemp("nursery"), redis_url=broker.url, limits=BATCH_LIMITS)
    yield nursery
    nursery.stop()


@pytest.fixture
def crew(
    transactional_db: None, nursery: Nursery, settings: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Crew]:
    """Return a crew without workers, on an empty broker.

    The test's own process sends nothing: the workers' sweep finds what is due.
    """
    yield from _hire(nursery, settings=settings, folder=tmp_path, monkeypatch=monkeypatch)


def _hire(nursery: Nursery, *, settings: Any, folder: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Crew]:
    from classifier.labelling import starting as dispatch
    from classifier.training import starting as trainings
    from tests.faults.workers import Crew

    redis.Redis.from_url(nursery.redis_url).flushall()
    settings.ARTEFACTS_DIR = folder / "artefacts"
    monkeypatch.setattr(dispatch, "send_due_batches", lambda **_: 0)
    monkeypatch.setattr(trainings, "send_queued_training", lambda: False)
    crew = Crew(nursery, folder)
    yield crew
    crew.stop()
    sys.stdout.write(crew.read_logs()[-20_000:])  # pytest shows it when the test fails


@pytest.fixture
def queue(nursery: Nursery) -> Iterator[Celery]:
    """Return an application that only sends, to the workers' broker."""
    app = Celery("sender", broker=nursery.redis_url, set_as_current=False)
    yield app
    app.close()


@pytest.fixture(scope="session")
def migrated_server() -> Iterator[Server]:
    """Return a PostgreSQL server of the fault tests' own with an empty, migrated database."""
    from tests.faults.own_database import start_migrated_server

    server = start_migrated_server()
    yield server
    server.stop()


@pytest.fixture
def own_database(migrated_server: Server, django_db_blocker: Any) -> Iterator[Server]:
    """Return a server whose empty database Django works on during the test, and that the test may stop and start."""
    from tests.faults.own_database import working_on

    with django_db_blocker.unblock(), working_on(migrated_server):
        yield migrated_server


@pytest.fixture
def crew_of_own_database(
    own_database: Server, batch_nursery: Nursery, settings: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Crew]:
    """Return a crew, as `crew` does, on the test's own database server and with limits for whole batches."""
    yield from _hire(batch_nursery, settings=settings, folder=tmp_path, monkeypatch=monkeypatch)

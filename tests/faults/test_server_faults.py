"""What happens to labels when the broker or the database goes away; with real servers and workers.

Rows K05 to K08 and K26 of the crash matrix; docs/faults.md has the table.
"""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from functools import partial

import pytest
import redis
from celery import Celery
from django.db import connection
from django.test import Client

from classifier.models import LabellingRun, LabelTask
from tests.faults.database_proxy import DatabaseProxy
from tests.faults.scenes import (
    PATIENT,
    assert_each_labelled_once,
    send_patient_messages,
    start_run,
    wait_until_done,
    wait_until_held,
    wait_until_in_the_middle,
)
from tests.faults.workers import REPOSITORY, Crew, Nursery, Worker, wait_until
from tests.support.factories import create_product
from tests.support.fakes import create_model_version, create_painted_image
from tests.support.refusing_redis import fill_up_and_empty, turn_into_replica
from tests.support.servers import Server, get_test_database_url

pytestmark = [pytest.mark.postgresql, pytest.mark.redis, pytest.mark.processes]
State = LabelTask.State

# Many messages for a few pictures, each at work long enough to be met by what happens.
SMALL_BATCHES = {"environ": {"FAULT_WORK_SECONDS": "0.5"}, "settings": {"LABELLING_BATCH_SIZE": 6}}

# A web process whose broker is away: answers a reader, starts a run, and says how long that took.
ASK_AND_START = """
import json, sys, time
import django
django.setup()
from django.test import Client
from classifier.labelling.starting import start_labelling_run
status = Client(headers={"host": "localhost"}).get("/api/v1/products/").status_code
started = time.monotonic()
run = start_labelling_run()
json.dump({"status": status, "run": run.pk, "seconds": time.monotonic() - started}, sys.stdout)
"""


def test_k06_a_broker_that_loses_everything_costs_no_label(crew: Crew, nursery: Nursery) -> None:
    run = start_run(72)
    for _ in range(2):
        crew.start_ready(**SMALL_BATCHES)
    wait_until_in_the_middle(run)
    client = redis.Redis.from_url(nursery.redis_url)
    assert client.llen("labelling") > 0
    client.flushall()
    wait_until_done(run)
    assert_each_labelled_once(run, number=72)
    assert set(run.tasks.values_list("attempts", "crashes")) == {(1, 0)}


def test_k05_k06_a_broker_that_is_killed_or_writes_nothing_for_a_while_costs_no_label(
    crew: Crew, broker: Server
) -> None:
    run = start_run(108)
    workers = [crew.start_ready(**SMALL_BATCHES)]
    wait_until_in_the_middle(run)
    broker.kill(signal.SIGKILL)
    broker.start()
    for harm, refusal in ((turn_into_replica, "read only replica"), (fill_up_and_empty, "used memory > 'maxmemory'")):
        wait_until_more_is_done(run)
        with harm(broker.url):
            if len(workers) < 2:
                workers.append(crew.start(**SMALL_BATCHES))  # one that starts meanwhile waits as well
            for worker in workers:
                wait_until(partial(has_logged, worker, refusal), what="the worker to be refused")
    wait_until_done(run)
    assert_each_labelled_once(run, number=108)
    # The workers reconnected by themselves, and no picture was blamed.
    assert all(worker.is_alive() for worker in workers)
    assert set(run.tasks.values_list("crashes", flat=True)) == {0}


def wait_until_more_is_done(run: LabellingRun) -> None:
    """Wait until more of the run is done than now, and some is not claimed yet."""
    done = run.tasks.filter(state=State.DONE)
    before = done.count()
    wait_until(lambda: done.count() > before, what="one more label")
    assert run.tasks.filter(state=State.NEW).exists()


def has_logged(worker: Worker, text: str) -> bool:
    """Return whether the worker's log has the text."""
    return text in worker.read_log()


def test_k07_a_database_that_stops_and_comes_back_leaves_no_half_batch(
    own_database: Server, crew_of_own_database: Crew, queue: Celery
) -> None:
    crew = crew_of_own_database
    run = start_run(96)
    send_patient_messages(queue, run)
    workers = [
        crew.start(environ={"FAULT_WORK_SECONDS": "1"}, settings=PATIENT | {"LABELLING_LEASE_SECONDS": 600})
        for _ in range(2)
    ]
    held = wait_until_held(*workers)
    own_database.kill(signal.SIGQUIT)
    page = Client(raise_request_exception=False, headers={"host": "localhost"})
    assert page.get("/api/v1/products/").status_code == 503
    assert page.get("/").status_code == 503
    wait_until(lambda: "database not reachable" in crew.read_logs(), what="a worker to notice")
    own_database.start()
    connection.close()  # the test's own, which died with the server
    # Long before a lease could run out: what was in hand is written, or given back, when the database is there again.
    wait_until_done(run)
    assert len(held) == 32
    assert_each_labelled_once(run, number=96)
    assert set(run.tasks.values_list("crashes", flat=True)) == {0}
    assert page.get("/api/v1/products/").status_code == 200


@pytest.fixture
def proxies() -> Iterator[list[DatabaseProxy]]:
    """Return a list whose proxies are stopped in the end."""
    proxies: list[DatabaseProxy] = []
    yield proxies
    for proxy in proxies:
        proxy.stop()


@pytest.mark.parametrize("after", [True, False], ids=["after-the-commit", "before-the-commit"])
def test_k08_a_connection_lost_around_the_commit_labels_once(
    crew: Crew, proxies: list[DatabaseProxy], *, after: bool
) -> None:
    host = connection.settings_dict["HOST"]
    if not host.startswith("/"):
        pytest.skip("needs PostgreSQL on a Unix socket")
    proxy = DatabaseProxy(host, cuts=2, after=after)
    proxies.append(proxy)
    run = start_run(64)
    crew.start(database={"HOST": proxy.folder}, settings=PATIENT)
    wait_until_done(run)
    assert proxy.cuts_left == 0
    assert_each_labelled_once(run, number=64)
    # Nothing was done twice: the batch in hand was finished again with its token.
    assert set(run.tasks.values_list("attempts", "crashes")) == {(1, 0)}


def test_k26_without_a_broker_readers_are_served_and_a_run_is_started(crew: Crew, broker: Server) -> None:
    create_model_version()
    for _ in range(3):
        create_product(images=[create_painted_image()])
    broker.kill(signal.SIGKILL)
    environment = {
        **os.environ,
        "DJANGO_SETTINGS_MODULE": "config.settings.base",
        "DATABASE_URL": get_test_database_url(),
        "REDIS_URL": broker.url,
    }
    command = [sys.executable, "-c", ASK_AND_START]
    answer = subprocess.run(command, cwd=REPOSITORY, env=environment, capture_output=True, text=True, check=False)
    broker.start()
    assert answer.returncode == 0, answer.stderr
    result = json.loads(answer.stdout)
    assert result["status"] == 200
    # Not a matter of speed: while it waited for the broker, with retries, this took six seconds and more.
    assert result["seconds"] < 5
    assert "broker not reachable" in answer.stderr
    run = LabellingRun.objects.get(pk=result["run"])
    assert run.tasks.filter(state=State.NEW, sent_at__isnull=True).count() == 3
    crew.start()
    wait_until_done(run)
    assert_each_labelled_once(run, number=3)

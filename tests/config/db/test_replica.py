"""Lists from a copy of the database: whose, how old, and what happens when the copy is far behind or away."""

import json
import os
import runpy
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from django.conf import settings as django_settings
from django.core.exceptions import ImproperlyConfigured

from config.db import replica
from config.settings import base
from tests.support.servers import (
    DURABLE_SETTINGS,
    Server,
    migrate_unless_copied,
    start_postgresql,
    start_postgresql_copy,
)

pytestmark = [pytest.mark.postgresql, pytest.mark.processes]

#: What readers are answered while the copy follows, lags and is gone: (database's titles, pages' titles by reader).
READ = """
import json, time, django
django.setup()
from django.contrib.auth.models import User
from django.db import connections
from django.test import Client
from catalog.models import Product
from config.db import replica

def ask(client):
    return [product["title"] for product in client.get("/api/v1/products/").json()["results"]]

def wait(condition):
    deadline = time.monotonic() + 30
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.05)

def has(title):
    return Product.objects.using("replica").filter(title=title).exists()

reader, member = Client(SERVER_NAME="127.0.0.1"), Client(SERVER_NAME="127.0.0.1")
member.force_login(User.objects.create_user("member"))
Product.objects.create(title="first")
wait(lambda: has("first"))
said = {"lag": replica.measure_lag()}
# The copy stops to follow: what is written now reaches it no more.
with connections["replica"].cursor() as cursor:
    cursor.execute("SELECT pg_wal_replay_pause()")
Product.objects.create(title="second")
with django.test.utils.override_settings(REPLICA_LAG_SECONDS=600.0):
    replica._asks_again_at = 0.0
    said["near"] = [ask(reader), ask(member)]
    assert "first" in reader.get("/products/").text and "second" not in reader.get("/products/").text
time.sleep(0.2)
with django.test.utils.override_settings(REPLICA_LAG_SECONDS=0.1):
    replica._asks_again_at = 0.0
    said["far"] = [ask(reader), ask(member)]
with connections["replica"].cursor() as cursor:
    cursor.execute("SELECT pg_wal_replay_resume()")
wait(lambda: has("second"))
replica._asks_again_at = 0.0
said["near again"] = [ask(reader), replica._is_near]
print(json.dumps(said), flush=True)
input()
replica._asks_again_at = 0.0
connections["replica"].close()
print(json.dumps([ask(reader), replica._is_near]), flush=True)
"""


@pytest.fixture(scope="module")
def primary() -> Iterator[Server]:
    settings = DURABLE_SETTINGS | {"wal_level": "replica", "max_wal_senders": "4", "fsync": "off", "hot_standby": "on"}
    server = start_postgresql(server_settings=settings)
    migrate_unless_copied(server)
    yield server
    server.stop()


@pytest.fixture
def copy(primary: Server) -> Iterator[Server]:
    server = start_postgresql_copy(primary)
    yield server
    server.stop()


def test_readers_have_lists_of_the_copy_while_it_is_near_and_members_what_they_wrote(
    primary: Server, copy: Server, tmp_path: Path
) -> None:
    environment = {
        **os.environ,
        "DJANGO_SETTINGS_MODULE": "config.settings.base",
        "VAR_DIR": str(tmp_path),
        "DATABASE_URL": primary.url,
        "DATABASE_REPLICA_URL": copy.url,
        "REDIS_URL": "",
    }
    process = subprocess.Popen(
        [sys.executable, "-c", READ],
        cwd=django_settings.BASE_DIR,
        env=environment,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stdin is not None
    assert process.stdout is not None
    said: dict[str, Any] = json.loads(process.stdout.readline() or process.communicate()[1])
    assert said == {
        "lag": 0.0,
        "near": [["first"], ["first", "second"]],
        "far": [["first", "second"], ["first", "second"]],
        "near again": [["first", "second"], True],
    }
    copy.stop()
    output, errors = process.communicate("\n", timeout=60)
    assert json.loads(output) == [["first", "second"], False], errors
    assert "the database's copy is away" in errors


def test_a_copy_has_options_of_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in {
        "VAR_DIR": str(tmp_path),
        "DATABASE_URL": "postgres://a/b?connect_timeout=7",
        "DATABASE_REPLICA_URL": "postgres://c/b?sslmode=verify-full",
    }.items():
        monkeypatch.setenv(name, value)
    databases = runpy.run_path(base.__file__)["DATABASES"]
    assert "sslmode" not in databases["default"]["OPTIONS"]
    options = databases["replica"]["OPTIONS"]
    assert (options["sslmode"], options["connect_timeout"], options["tcp_user_timeout"]) == ("verify-full", 7, 10_000)


def test_who_asks_while_somebody_else_does_goes_by_what_was_known(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(replica, "measure_lag", lambda: pytest.fail("it is asked by two"))
    monkeypatch.setattr(replica, "_asks_again_at", 0.0)
    for is_near in (True, False):
        monkeypatch.setattr(replica, "_is_near", is_near)
        with replica._lock:
            assert replica._is_near_enough() is is_near


@pytest.mark.parametrize("url", ["sqlite:///x", ""])
def test_a_copy_of_what_is_no_postgresql_is_refused(url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in {
        "VAR_DIR": str(tmp_path),
        "DATABASE_URL": url,
        "DATABASE_REPLICA_URL": "postgres://a/b",
    }.items():
        monkeypatch.setenv(name, value)
    with pytest.raises(ImproperlyConfigured, match="DATABASE_REPLICA_URL: expected a copy of a PostgreSQL"):
        runpy.run_path(base.__file__)

"""The suite's own footing: real servers, and nothing of theirs left behind."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import redis
from django.conf import settings
from django.db import connection

from catalog.models import Product
from tests.support.forks import run_forked

pytestmark = pytest.mark.both_databases

REPOSITORY = Path(__file__).resolve().parents[2]

START_AND_REPORT = """
from tests.support.servers import start_redis
server = start_redis()
print(server.url, flush=True)
input()
"""


SHOW_LIMIT = """
import config.wsgi
from django.db import connection
with connection.cursor() as cursor:
    cursor.execute("SHOW statement_timeout")
    print(cursor.fetchone()[0])
"""


@pytest.mark.postgresql
@pytest.mark.parametrize("seconds", ["3", "7"])
def test_a_forked_site_has_the_limits_of_its_own_environment(seconds: str) -> None:
    environment = os.environ | {"DJANGO_SETTINGS_MODULE": "config.settings.base", "WEB_STATEMENT_SECONDS": seconds}
    done = run_forked("-c", SHOW_LIMIT, env=environment)
    assert (done.stdout, done.returncode) == (f"{seconds}s\n", 0), done.stderr


@pytest.mark.postgresql
@pytest.mark.django_db
def test_suite_runs_on_a_real_postgresql_server():
    with connection.cursor() as cursor:
        cursor.execute("SHOW server_version_num")
        version = int(cursor.fetchone()[0])

    assert version >= 140_000
    assert connection.settings_dict["NAME"].startswith("test_")


@pytest.mark.redis
def test_suite_runs_on_a_real_redis_server():
    client = redis.Redis.from_url(settings.REDIS_URL)

    client.set("test-servers:key", "value", ex=60)

    assert client.get("test-servers:key") == b"value"


@pytest.mark.django_db
def test_write_is_read_back_from_the_database_of_the_run():
    Product.objects.create(title="Linen shirt")

    assert list(Product.objects.values_list("title", flat=True)) == ["Linen shirt"]


def test_server_ends_when_its_starter_is_killed():
    starter = subprocess.Popen(
        [sys.executable, "-c", START_AND_REPORT],
        cwd=REPOSITORY,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    client = redis.Redis.from_url(starter.stdout.readline().strip())
    assert client.ping()
    folder = Path(client.config_get("dir")["dir"])
    assert folder.is_dir()

    starter.send_signal(signal.SIGKILL)
    starter.wait(10)

    deadline = time.monotonic() + 10
    while folder.exists() and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not folder.exists()
    with pytest.raises(redis.ConnectionError):
        client.ping()

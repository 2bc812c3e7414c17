"""Nothing that one request sets is met by the next on the same connection: behind a pooler that is somebody else."""

import runpy
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import psycopg2
import pytest
from django.core.management import call_command
from django.db import ProgrammingError, connection, connections, transaction
from django.test import Client

from catalog.models import Image
from classifier.models import LabellingRun, ReviewRun
from classifier.reviews.starting import start_review_run
from config.db.statements import allow_long_statements
from config.settings import base
from tests.support.factories import create_product
from tests.support.fakes import create_model_version
from tests.support.members import create_member
from tests.support.pages import read_block
from tests.support.servers import Server, ServerError, start_pgbouncer

pytestmark = [pytest.mark.postgresql, pytest.mark.django_db(transaction=True)]

#: Those of docs/operations.md for a command, and for the site.
COMMAND_LIMITS = {"statement_timeout": "0", "lock_timeout": "5s", "idle_in_transaction_session_timeout": "30s"}
LIMITS = COMMAND_LIMITS | {"statement_timeout": "2s", "enable_mergejoin": "off"}
#: All that PostgreSQL keeps for a connection beyond a transaction.
SESSION_STATE = """
SELECT 'setting', name, setting FROM pg_settings WHERE source = 'session'
UNION ALL SELECT 'prepared statement', name, '' FROM pg_prepared_statements
UNION ALL SELECT 'cursor', name, '' FROM pg_cursors WHERE is_holdable
UNION ALL SELECT 'channel', channel, '' FROM pg_listening_channels() AS channel
UNION ALL SELECT 'lock', mode, '' FROM pg_locks WHERE locktype = 'advisory' AND pid = pg_backend_pid()
UNION ALL SELECT 'temporary table', relname, '' FROM pg_class WHERE relnamespace = pg_my_temp_schema()
ORDER BY 1, 2
"""


def read(statement: str) -> list[tuple[Any, ...]]:
    with connection.cursor() as cursor:
        cursor.execute(statement)
        return list(cursor.fetchall())


@pytest.fixture(scope="module")
def pooler(django_db_setup: None) -> Iterator[Server]:
    """PgBouncer as the page has it configured."""
    try:
        server = start_pgbouncer(connections.settings["default"], ini=read_block("operations.md", "[databases]"))
    except ServerError as error:
        pytest.skip(str(error))
    yield server
    server.stop()


def read_settings(url: str, folder: Path) -> dict[str, Any]:
    """Return the database of a site that is told of a pooler by its environment, as the page says."""
    with pytest.MonkeyPatch.context() as environment:
        for name, value in {"VAR_DIR": str(folder), "DATABASE_URL": url, "DATABASE_POOLER": "1"}.items():
            environment.setenv(name, value)
        database: dict[str, Any] = runpy.run_path(base.__file__)["DATABASES"]["default"]
    return database


@pytest.fixture(params=["directly", "behind PgBouncer"])
def limits(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[dict[str, str]]:
    """The limits of the one connection that everything goes through."""
    database = connections.settings["default"]
    before = {**database}
    if request.param == "directly":
        options = " ".join(f"-c {name}={value}" for name, value in LIMITS.items())
        database["OPTIONS"] = database["OPTIONS"] | {"options": options}
    else:
        url = request.getfixturevalue("pooler").url
        database |= read_settings(f"{url}catalogue_site", tmp_path)
    connection.close()
    yield LIMITS
    connection.close()
    database.clear()
    database |= before


def start_and_cancel_a_run(client: Client) -> None:
    create_model_version()
    response = client.post("/api/v1/labelling-runs/", {}, content_type="application/json")
    assert response.status_code == 202
    assert client.post(f"{response.headers['Location']}cancel/").status_code == 200
    assert LabellingRun.objects.get().state == "cancelled"


def export(client: Client) -> None:
    for suffix in ("csv", "jsonl", "zip"):
        assert b"".join(client.get(f"/products/export.{suffix}"))
        assert b"".join(client.get(f"/api/v1/products/export.{suffix}?search=linen"))


def replace_an_address(client: Client) -> None:
    address = f"/admin/catalog/image/{Image.objects.first().pk}/replace-address/"
    assert client.post(address, {"url": "https://shop.example/other.jpg"}).status_code == 302


def review_many(client: Client) -> None:
    start_review_run(Image.objects.all(), group="Bags", reviewer=create_member())
    assert ReviewRun.objects.get().total == 2


def read_pages(client: Client) -> None:
    for address in ("/", "/products/?search=linen", "/api/v1/products/", "/admin/catalog/product/", "/healthz/ready"):
        assert client.get(address).status_code in (200, 503)


def run_commands(client: Client) -> None:
    create_model_version()
    call_command("refresh_labels", verbosity=0)
    call_command("label_catalog", verbosity=0)


def fail(client: Client) -> None:
    with pytest.raises(ProgrammingError), allow_long_statements():
        read("SELECT nothing_of_this_name")


@pytest.mark.parametrize(
    "work",
    [start_and_cancel_a_run, export, replace_an_address, review_many, read_pages, run_commands, fail],
    ids=lambda work: work.__name__,
)
def test_work_leaves_the_connection_as_it_was(
    work: Callable[[Client], None], limits: dict[str, str], admin_client: Client
) -> None:
    for title in ("Linen shirt", "Bag"):
        create_product(title, images=[f"https://shop.example/{title[0]}.jpg"])
    before = read(SESSION_STATE)
    work(admin_client)
    assert read(SESSION_STATE) == before
    assert {name: read(f"SHOW {name}")[0][0] for name in LIMITS} == limits


def test_a_statement_is_let_through_for_the_length_of_a_transaction(limits: dict[str, str]) -> None:
    shown = []
    with allow_long_statements():
        shown += read("SHOW statement_timeout")
    with transaction.atomic():
        shown += read("SHOW statement_timeout")
        with allow_long_statements():
            shown += read("SHOW statement_timeout")
    shown += read("SHOW statement_timeout")
    assert shown == [("0",), (limits["statement_timeout"],), ("0",), (limits["statement_timeout"],)]


def test_commands_have_an_entry_without_a_limit_and_start_up_options_are_refused(pooler: Server) -> None:
    with closing(psycopg2.connect(f"{pooler.url}catalogue")) as commands, commands.cursor() as cursor:
        shown = {}
        for name in COMMAND_LIMITS:
            cursor.execute(f"SHOW {name}")
            (shown[name],) = cursor.fetchone()
    assert shown == COMMAND_LIMITS
    with pytest.raises(psycopg2.OperationalError, match="unsupported startup parameter"):
        psycopg2.connect(f"{pooler.url}catalogue", options="-c lock_timeout=5000")

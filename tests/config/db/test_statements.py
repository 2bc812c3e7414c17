"""How long a statement of the site may take, and that nothing but the site is bound by it."""

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from django.db import OperationalError, connection, connections
from django.http import HttpRequest, HttpResponse
from django.test import Client
from django.urls import path
from rest_framework.decorators import api_view, permission_classes
from rest_framework.permissions import AllowAny
from rest_framework.request import Request
from rest_framework.response import Response

from config import urls
from config.db.statements import allow_long_statements, limit_web_statements

pytestmark = pytest.mark.both_databases

REPOSITORY = Path(__file__).resolve().parents[3]
SHOW = """
import django
django.setup()
import config.celery  # what a worker and a command load
from django.db import connection

def show():
    with connection.cursor() as cursor:
        cursor.execute("SHOW statement_timeout")
        print(cursor.fetchone()[0])

show()
connection.close()
import config.wsgi
show()
"""
LIMIT_SECONDS = 0.5


def doze(seconds: float) -> str:
    """Have the database do nothing for so long; return its limit for a statement."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_sleep(%s)", [seconds])
        cursor.execute("SHOW statement_timeout")
        return str(cursor.fetchone()[0])


@api_view(["GET"])
@permission_classes([AllowAny])
def api_call_that_takes_long(request: Request) -> Response:
    return Response(doze(30))


def page_that_takes_long(request: HttpRequest) -> HttpResponse:
    return HttpResponse(doze(30))


def page_that_may_take_long(request: HttpRequest) -> HttpResponse:
    with allow_long_statements():
        inside = doze(2 * LIMIT_SECONDS)
    return HttpResponse(f"{inside} then {doze(0)}")


urlpatterns = [
    *urls.urlpatterns,
    path("api/v1/long/", api_call_that_takes_long),
    path("long/", page_that_takes_long),
    path("may-be-long/", page_that_may_take_long),
]
handler400, handler403, handler404, handler500 = urls.handler400, urls.handler403, urls.handler404, urls.handler500


@pytest.fixture
def web(transactional_db: None, settings: Any) -> Iterator[Client]:
    """A client of a site whose statements may take a moment only."""
    settings.ROOT_URLCONF = __name__
    settings.WEB_STATEMENT_SECONDS = LIMIT_SECONDS
    database = connections.settings["default"]
    unlimited, database["OPTIONS"] = database["OPTIONS"], {**database["OPTIONS"]}
    limit_web_statements()
    connection.close()
    yield Client(raise_request_exception=False)
    database["OPTIONS"] = unlimited
    connection.close()


@pytest.mark.postgresql
def test_workers_and_commands_have_no_limit_and_the_site_has_one() -> None:
    result = subprocess.run(
        [sys.executable, "-c", SHOW], cwd=REPOSITORY, capture_output=True, text=True, timeout=120, check=True
    )
    assert result.stdout.split() == ["0", "2s"]


@pytest.mark.postgresql
def test_a_call_that_takes_too_long_is_a_problem_and_the_next_one_is_answered(web: Client) -> None:
    response = web.get("/api/v1/long/")
    assert (response.status_code, response.headers["Content-Type"]) == (503, "application/problem+json")
    assert response.json()["detail"] == "This takes longer than the site allows. Ask for less, or try again later."
    assert response.headers["Retry-After"] == "30"
    assert web.get("/api/v1/products/").status_code == 200


@pytest.mark.postgresql
def test_a_page_that_takes_too_long_says_so(web: Client) -> None:
    response = web.get("/long/")
    assert (response.status_code, response.headers["Content-Type"]) == (503, "text/html; charset=utf-8")
    assert "This takes longer than the site allows." in response.text


@pytest.mark.postgresql
def test_what_works_on_a_whole_table_may_take_long_and_the_next_statement_may_not(web: Client) -> None:
    assert web.get("/may-be-long/").text == "0 then 500ms"


@pytest.mark.postgresql
def test_an_error_meanwhile_leaves_no_connection_without_a_limit(web: Client) -> None:
    with pytest.raises(OperationalError), allow_long_statements():
        raise OperationalError("gone")
    assert doze(0) == "500ms"


@pytest.mark.django_db
def test_long_statements_are_nothing_special_on_sqlite(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connection, "vendor", "sqlite")
    with allow_long_statements():
        assert connection.introspection.table_names()


@pytest.mark.parametrize(
    "engine, seconds, options, expected",
    [
        (
            "django.db.backends.postgresql",
            2.0,
            "-c lock_timeout=5000",
            "-c lock_timeout=5000 -c statement_timeout=2000 -c enable_mergejoin=off",
        ),
        ("django.db.backends.postgresql", 0.0, "-c lock_timeout=5000", "-c lock_timeout=5000"),
        ("django.db.backends.postgresql", 2.0, "-c statement_timeout=9", "-c statement_timeout=9"),
        ("django.db.backends.postgresql", 2.0, "", ""),
        ("django.db.backends.sqlite3", 2.0, "-c nothing=1", "-c nothing=1"),
    ],
)
def test_the_limit_goes_where_it_may(
    engine: str, seconds: float, options: str, expected: str, settings: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    database = {"ENGINE": engine, "OPTIONS": {"options": options}}
    monkeypatch.setattr("config.db.statements.connections", SimpleNamespace(settings={"default": database}))
    settings.WEB_STATEMENT_SECONDS = seconds
    limit_web_statements()
    assert database["OPTIONS"]["options"] == expected

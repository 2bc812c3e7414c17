"""Errors: problem documents below /api/, pages elsewhere, whatever raised them."""

import time
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from django.conf import settings
from django.contrib.auth.models import AnonymousUser
from django.core.cache import caches
from django.core.exceptions import PermissionDenied, SuspiciousOperation
from django.db import DatabaseError, IntegrityError, OperationalError
from django.http import Http404
from django.test import Client, RequestFactory
from django.urls import path
from rest_framework import exceptions
from rest_framework.decorators import api_view, permission_classes
from rest_framework.permissions import AllowAny
from rest_framework.request import Request
from rest_framework.response import Response

from config import urls
from config.web.problems import find_refusal
from tests.support.members import sign_in

ERRORS = {
    "fault": RuntimeError("secret detail"),
    "broken-rule": IntegrityError("secret detail"),
    "missing": Http404(),
    "denied": PermissionDenied(),
    "suspicious": SuspiciousOperation("secret detail"),
    "throttled": exceptions.Throttled(wait=2.5),
    "invalid": exceptions.ValidationError(["Expected a label."]),
    "database-away": OperationalError("connection to server failed"),
    "database-gone": DatabaseError("server closed the connection unexpectedly"),
    "database-crowded": OperationalError("FATAL: sorry, too many clients already"),
    "no-memory": MemoryError(),
    "database-locked": OperationalError("database is locked"),
    "too-large": OperationalError("too many SQL variables"),
    "fields": exceptions.ValidationError({"group": ["Expected a group."]}),
}


@api_view(["GET", "POST"])
@permission_classes([AllowAny])
def fail(request: Request, name: str) -> Response:
    """Read the body, then raise the error of this name."""
    assert request.data is not None
    raise ERRORS[name]


def page_that_fails(request: object, name: str) -> None:
    """Raise the error of this name."""
    raise ERRORS[name]


urlpatterns = [*urls.urlpatterns, path("api/v1/fail/<name>/", fail), path("fail/<name>/", page_that_fails)]
handler400, handler403, handler404, handler500 = urls.handler400, urls.handler403, urls.handler404, urls.handler500

pytestmark = pytest.mark.urls(__name__)


@pytest.fixture
def patient_client() -> Client:
    return Client(raise_request_exception=False)


@pytest.mark.parametrize(
    "name, status, title",
    [
        ("fault", 500, "Internal Server Error"),
        ("broken-rule", 500, "Internal Server Error"),
        ("database-away", 503, "Service Unavailable"),
        ("database-gone", 503, "Service Unavailable"),
        ("database-crowded", 503, "Service Unavailable"),
        ("no-memory", 503, "Service Unavailable"),
        ("too-large", 500, "Internal Server Error"),
        ("missing", 404, "Not Found"),
        ("denied", 403, "Forbidden"),
        ("suspicious", 400, "Bad Request"),
        ("throttled", 429, "Too Many Requests"),
        ("invalid", 400, "Bad Request"),
    ],
)
def test_an_error_of_the_api_is_a_problem_document(patient_client: Client, name: str, status: int, title: str) -> None:
    response = patient_client.get(f"/api/v1/fail/{name}/")
    assert (response.status_code, response.headers["Content-Type"]) == (status, "application/problem+json")
    problem = response.json()
    assert (problem["type"], problem["title"], problem["status"]) == ("about:blank", title, status)
    assert problem["detail"]
    assert b"secret" not in response.content


@pytest.mark.parametrize(
    "name, detail",
    [
        ("database-away", "The database cannot be reached at the moment; please try again."),
        ("database-crowded", "The database has no connection left at the moment; please try again."),
        ("database-locked", "The database is held by another program at the moment; please try again."),
        ("too-large", "The database takes no statement as large as this one; please ask for less."),
    ],
)
def test_an_error_of_the_database_is_called_what_it_is(patient_client: Client, name: str, detail: str) -> None:
    assert patient_client.get(f"/api/v1/fail/{name}/").json()["detail"] == detail


def test_a_refused_field_is_named(patient_client: Client) -> None:
    assert patient_client.get("/api/v1/fail/fields/").json()["errors"] == {"group": ["Expected a group."]}
    assert patient_client.get("/api/v1/fail/invalid/").json()["errors"] == {"non_field_errors": ["Expected a label."]}
    assert "errors" not in patient_client.get("/api/v1/fail/missing/").json()


def test_a_caller_learns_when_to_come_back(patient_client: Client) -> None:
    assert patient_client.get("/api/v1/fail/database-away/").headers["Retry-After"] == "5"
    assert patient_client.get("/api/v1/fail/throttled/").headers["Retry-After"] == "3"


@pytest.mark.parametrize(
    "content_type, body, status",
    [("text/plain", b"x", 415), ("application/json", b"{", 400), ("application/json", b"\xff", 400)],
)
def test_a_body_that_cannot_be_read_is_a_problem(
    patient_client: Client, content_type: str, body: bytes, status: int
) -> None:
    response = patient_client.post("/api/v1/fail/missing/", data=body, content_type=content_type)
    assert (response.status_code, response.headers["Content-Type"]) == (status, "application/problem+json")


def test_an_address_that_does_not_exist_is_a_problem_or_a_page(patient_client: Client) -> None:
    response = patient_client.get("/api/v1/nothing/")
    assert (response.status_code, response.headers["Content-Type"]) == (404, "application/problem+json")
    response = patient_client.get("/nothing/")
    assert (response.status_code, response.headers["Content-Type"]) == (404, "text/html; charset=utf-8")
    assert "There is nothing at this address." in response.text


@pytest.mark.parametrize(
    "name, status",
    [("fault", 500), ("database-away", 503), ("missing", 404), ("denied", 403), ("suspicious", 400)],
)
def test_a_page_that_fails_shows_an_error_page_without_the_database(
    patient_client: Client, name: str, status: int
) -> None:
    # No `django_db` mark: a query would raise.
    response = patient_client.get(f"/fail/{name}/")
    assert (response.status_code, response.headers["Content-Type"]) == (status, "text/html; charset=utf-8")
    assert f'<p class="eyebrow">{status}</p>' in response.text
    assert "secret" not in response.text


@pytest.mark.django_db
def test_a_page_that_one_may_not_see_says_who_one_is(client: Client) -> None:
    user = sign_in(client, "add_product", "change_product")
    page = client.get("/errors/")
    assert page.status_code == 403
    assert f">{user.username}<" in page.text
    assert "Sign out" in page.text
    assert '<a href="/import/">Import</a>' in page.text


@pytest.mark.django_db
@pytest.mark.parametrize("address", ["/api/v1/products/?format=xml", "/api/v1/products/?format=json"])
def test_the_form_of_an_answer_is_no_parameter(patient_client: Client, address: str) -> None:
    response = patient_client.get(address)
    assert (response.status_code, list(response.json()["errors"])) == (400, ["format"])


def test_a_problem_of_the_schema_is_json_whatever_the_schema_is_written_in(patient_client: Client) -> None:
    response = patient_client.get("/api/v1/schema/?format=zzz")
    assert (response.status_code, response.headers["Content-Type"]) == (400, "application/problem+json")
    assert list(response.json()["errors"]) == ["format"]
    response = patient_client.post("/api/v1/schema/")
    assert (response.status_code, response.json()["title"]) == (405, "Method Not Allowed")
    assert response.headers["Content-Type"] == "application/problem+json"
    response = patient_client.get("/api/v1/schema/", headers={"Accept": "image/png"})
    assert (response.status_code, response.json()["status"]) == (406, 406)


def test_what_readers_ask_for_at_the_same_time_is_counted_one_by_one(
    rf: RequestFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(settings.REST_FRAMEWORK["DEFAULT_THROTTLE_RATES"], "pictures", "3/min")
    backend = type(caches["default"])
    get = backend.get

    def get_late(*arguments: Any, **options: Any) -> Any:
        found = get(*arguments, **options)
        time.sleep(0.1)  # all read what stands there before one writes
        return found

    monkeypatch.setattr(backend, "get", get_late)

    def ask(address: str) -> bool:
        request = rf.get("/", REMOTE_ADDR=address)
        request.user = AnonymousUser()
        return find_refusal(request, scope="pictures") is None

    with ThreadPoolExecutor(10) as pool:
        assert sum(pool.map(ask, ["192.0.2.1"] * 10)) == 3
    assert ask("192.0.2.2")

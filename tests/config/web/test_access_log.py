"""The one line of a request."""

import logging
import re
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse, StreamingHttpResponse
from django.test import Client, RequestFactory

from config.logs import LineFormatter, log_fields
from config.web.access_log import AccessLogMiddleware
from tests.support.members import build_token_header, create_member, sign_in

pytestmark = pytest.mark.django_db


class Lines(logging.Handler):
    """What the site's own handler would print, line by line."""

    def __init__(self) -> None:
        super().__init__(logging.DEBUG)
        (self.filters,) = [handler.filters for handler in logging.getLogger().handlers if handler.filters]
        self.setFormatter(LineFormatter())
        self.lines: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.lines += self.format(record).splitlines()


@pytest.fixture
def lines(caplog: pytest.LogCaptureFixture):
    handler = Lines()
    logging.getLogger().addHandler(handler)
    caplog.set_level(logging.INFO)
    yield handler.lines
    logging.getLogger().removeHandler(handler)


@pytest.mark.parametrize(
    "method, address, headers, said",
    [
        ("get", "/products/?search=s3cret", {}, "INFO config.web.access_log GET /products/ [status=200 "),
        ("head", "/products/", {}, "INFO config.web.access_log HEAD /products/ [status=200 "),
        ("get", "/nothing/", {}, "WARNING config.web.access_log GET /nothing/ [status=404 "),
        ("get", "/a%0Ab/", {}, "WARNING config.web.access_log GET /a%0Ab/ [status=404 "),
        ("get", "/", {"Host": "evil.example"}, "GET /: Invalid HTTP_HOST header: 'evil.example'. You may need to add"),
        ("get", "/api/v1/errors/", {"Authorization": "Token s3cret"}, "GET /api/v1/errors/ [status=401 "),
        ("post", "/api/v1/products/", {}, "POST /api/v1/products/ [status=405 "),
        (
            "post",
            "/admin/login/",
            {},
            "POST /admin/login/: Forbidden (CSRF cookie not set.): /admin/login/ [status=403",
        ),
    ],
)
def test_what_is_no_fault_is_one_line(
    lines: list[str], method: str, address: str, headers: dict[str, str], said: str
) -> None:
    getattr(Client(enforce_csrf_checks=True), method)(address, headers=headers)
    (line,) = lines
    assert said in line
    assert re.search(r" ms=\d+ address=127\.0\.0\.1 request=[0-9a-f]{32}\]$", line)
    assert "s3cret" not in line


def test_a_page_that_somebody_may_not_see_is_one_line_with_his_name(lines: list[str], client: Client) -> None:
    user = sign_in(client)
    assert client.get("/labelling-runs/").status_code == 403
    (line,) = lines
    assert "WARNING config.web.access_log GET /labelling-runs/ [status=403 " in line
    assert line.endswith(f" user={user.username}]")


def test_a_token_has_a_name_too(lines: list[str], client: Client) -> None:
    user = create_member("view_labeltask")
    client.get("/api/v1/errors/", headers=build_token_header(user))
    assert lines[0].endswith(f" user={user.username}]")


def test_a_sign_in_is_one_line_with_name_and_address(lines: list[str]) -> None:
    User.objects.create_user("ann", password="s3cret", is_staff=True)
    client = Client(REMOTE_ADDR="192.0.2.1")
    client.post("/admin/login/", {"username": "ann\n", "password": "wrong-s3cret"})
    client.post("/admin/login/", {"username": "ann", "password": "s3cret"})
    failed, signed_in = lines
    assert "WARNING config.web.access_log POST /admin/login/: sign-in as 'ann' failed [status=200 " in failed
    assert " address=192.0.2.1 " in failed
    assert "INFO config.web.access_log POST /admin/login/ [status=302 " in signed_in
    assert signed_in.endswith(" user=ann]")
    assert "s3cret" not in failed + signed_in


def test_whether_the_site_is_well_is_not_said_each_time(lines: list[str], client: Client) -> None:
    client.get("/healthz/live")
    assert lines == []


def test_a_fault_has_its_traceback_and_the_name_of_its_request(lines: list[str], monkeypatch: Any) -> None:
    def fail(*_: object, **__: object) -> None:
        raise RuntimeError("boom")

    monkeypatch.setattr("catalog.browse.views.render", fail)
    client = Client(raise_request_exception=False)
    assert client.get("/products/", headers={"X-Request-ID": "call-7"}).status_code == 500
    assert "ERROR django.request Internal Server Error: /products/ [request=call-7]" in lines[0]
    assert "RuntimeError: boom" in lines
    assert "[status=500 " in lines[-1]


@pytest.mark.parametrize(
    "given, kept", [("call-7", True), ("x" * 65, False), ("a b", False), ("a\nb", False), ("", False)]
)
def test_a_request_keeps_its_name_and_its_answer_has_it(given: str, kept: bool, client: Client) -> None:
    name = client.get("/healthz/live", headers={"X-Request-ID": given}).headers["X-Request-ID"]
    assert (name == given) == kept
    assert kept or re.fullmatch("[0-9a-f]{32}", name)
    assert "request" not in log_fields.get()


def answer_head(response: Any) -> Any:
    return AccessLogMiddleware(lambda request: response)(RequestFactory().head("/"))


def test_a_head_is_answered_without_the_body() -> None:
    response = answer_head(HttpResponse("abc"))
    assert (response.content, response.headers["Content-Length"]) == (b"", "3")
    closed: list[bool] = []

    class File:
        def __iter__(self):
            yield b"abc"

        def close(self) -> None:
            closed.append(True)

    response = answer_head(StreamingHttpResponse(File()))
    assert b"".join(response) == b""
    response.close()
    assert closed == [True]


def test_nobody_is_looked_up_for_a_line() -> None:
    def refuse(request: HttpRequest) -> HttpResponse:
        raise PermissionDenied

    request = RequestFactory().get("/")
    with pytest.raises(PermissionDenied):
        AccessLogMiddleware(refuse)(request)
    assert "request" not in log_fields.get()

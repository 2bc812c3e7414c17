"""The documented fronts, real: what they keep from the site, and what they tell the site."""

import json
import os
import re
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from catalog.admin.products import FORM_BYTES as PRODUCT_FORM_BYTES
from catalog.interchange.import_views import BODY_BYTES as IMPORT_BODY_BYTES
from catalog.pictures.formats import MAX_FILE_BYTES
from classifier.evidence.api import FORM_BYTES as PICTURE_FORM_BYTES
from classifier.labelling.views import MEND_BYTES
from config.settings.base import DATA_UPLOAD_MAX_MEMORY_SIZE
from tests.support.front import HOST, Door, find_missing_program, running_caddy, running_front, running_site

pytestmark = [pytest.mark.processes]

FRONTS = {"nginx": running_front, "Caddy": running_caddy}
#: Of what Caddy does as well; limits for single addresses and passwords are nginx's, and behind Caddy the site's own.
behind_each = pytest.mark.parametrize("site", FRONTS, indirect=True)

LOGIN, IMPORT, CLASSIFY = "/admin/login/", "/import/", "/api/v1/classify/"
PUBLIC = "/api/v1/schema/"
#: More than all threads of the site.
MANY = 24


@pytest.fixture(scope="module")
def gunicorn(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Door, Path]]:
    """The site itself, and its log; what is asked here needs no database."""
    folder = tmp_path_factory.mktemp("site")
    environment = {**os.environ, "HTTPS": "1", "NUM_PROXIES": "1", "LOG_FORMAT": "json"}
    environment |= {"DJANGO_SETTINGS_MODULE": "config.settings.base", "GUNICORN_CMD_ARGS": "--workers=1"}
    with running_site(folder, environment=environment) as door:
        yield door, folder / "site.log"


@pytest.fixture(scope="module", params=["nginx"])
def site(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Door, Path]]:
    """A front, and the log of the site behind it."""
    if missing := find_missing_program(request.param):
        pytest.skip(f"needs {missing}, which is not here")
    door, log = request.getfixturevalue("gunicorn")
    with FRONTS[request.param](tmp_path_factory.mktemp("front"), site=door) as front:
        yield front, log


def read_line(log: Path, request_id: str) -> dict[str, object]:
    """Return the line of the log about the request."""
    lines = [json.loads(line) for line in log.read_text().splitlines()]
    (line,) = [line for line in lines if line.get("request") == request_id]
    return line


@behind_each
def test_the_site_is_told_who_asks_and_how_by_the_front_alone(site: tuple[Door, Path]) -> None:
    front, log = site
    request_id = f"told-{front.port}"
    forged = ["X-Forwarded-For: 203.0.113.9", "X-Forwarded-Proto: http", f"X-Request-ID: {request_id}"]
    answer = front.ask(f"GET {PUBLIC} HTTP/1.1", *forged, source="127.0.0.9")
    assert answer.startswith(b"HTTP/1.1 200 ")
    assert f"\r\nx-request-id: {request_id}\r\n".encode() in answer.lower()
    assert b"\r\nStrict-Transport-Security: max-age=31536000" in answer
    assert read_line(log, request_id)["address"] == "127.0.0.9"


@behind_each
def test_a_foreign_host_is_no_line_in_the_log_of_the_site(site: tuple[Door, Path]) -> None:
    front, log = site
    before = log.read_text()
    with front.connect() as connection:
        connection.sendall(b"GET / HTTP/1.1\r\nHost: evil.example\r\nConnection: close\r\n\r\n")
        # Caddy answers with nothing, nginx not at all.
        assert connection.recv(1000).partition(b"\r\n\r\n")[2] == b""
    assert log.read_text() == before


@pytest.mark.parametrize(
    "address, most, status",
    [
        (LOGIN, 16_384, 403),  # there is no cookie of the form
        (PUBLIC, DATA_UPLOAD_MAX_MEMORY_SIZE, 405),
        (CLASSIFY, MAX_FILE_BYTES + PICTURE_FORM_BYTES, 401),
        (IMPORT, IMPORT_BODY_BYTES, 403),
        ("/sign-in/", 16_384, 403),
        ("/images/17/mend/", MEND_BYTES, 403),
        ("/admin/catalog/product/add/", PRODUCT_FORM_BYTES, 403),
        ("/admin/catalog/product/17/change/", PRODUCT_FORM_BYTES, 403),
    ],
)
def test_a_body_goes_as_far_as_the_site_takes_it(site: tuple[Door, Path], address: str, most: int, status: int) -> None:
    front, log = site
    lines = [f"POST {address} HTTP/1.1", "Content-Type: application/x-www-form-urlencoded", "X-Request-ID: sized"]
    before = log.read_text().count('"sized"')
    assert int(front.ask(*lines, f"Content-Length: {most}", body=b"a" * most).split()[1]) == status
    answer = front.ask(*lines, f"Content-Length: {most + 1}", body=b"a" * (most + 1))
    assert int(answer.split()[1]) == 413
    assert (b"Content-Type: application/problem+json\r\n" in answer) == address.startswith("/api/")
    assert log.read_text().count('"sized"') - before == 1


@pytest.mark.parametrize("site", ["Caddy"], indirect=True)
def test_behind_caddy_the_site_refuses_a_body_that_is_too_long(site: tuple[Door, Path]) -> None:
    front, _ = site
    for size, status in ((DATA_UPLOAD_MAX_MEMORY_SIZE, 405), (DATA_UPLOAD_MAX_MEMORY_SIZE + 1, 413)):
        answer = front.ask(f"POST {PUBLIC} HTTP/1.1", f"Content-Length: {size}", body=b"a" * size)
        assert int(answer.split()[1]) == status


# Caddy leaves chunks as they are, even of a body that it holds whole; the site wants a length.
@pytest.mark.parametrize("site, status", [("nginx", 401), ("Caddy", 411)], indirect=["site"])
def test_a_body_in_chunks_is_given_a_length_or_refused(site: tuple[Door, Path], status: int) -> None:
    front, _ = site
    lines = [f"POST {CLASSIFY} HTTP/1.1", "Transfer-Encoding: chunked"]
    assert int(front.ask(*lines, body=b"3\r\na=b\r\n0\r\n\r\n").split()[1]) == status


def test_a_body_in_chunks_goes_no_further_than_one_with_a_length(site: tuple[Door, Path]) -> None:
    front, _ = site
    lines = [f"POST {CLASSIFY} HTTP/1.1", "Transfer-Encoding: chunked"]
    too_long = b"100000\r\n" + b"a" * 0x100000 + b"\r\n"
    assert front.ask(*lines, body=13 * too_long + b"0\r\n\r\n").startswith(b"HTTP/1.1 413 ")


@behind_each
def test_bodies_and_headers_that_never_end_hold_nobody_up(site: tuple[Door, Path]) -> None:
    front, log = site
    slow_body = f"POST {PUBLIC} HTTP/1.1\r\nHost: {HOST}\r\nX-Request-ID: slow\r\nContent-Length: 9000\r\n\r\na"
    with ExitStack() as stack:
        for number in range(MANY):
            connection = stack.enter_context(front.connect(source=f"127.0.1.{number}"))
            connection.sendall((slow_body if number % 2 else slow_body[:40]).encode())
        answer = front.ask(f"GET {PUBLIC} HTTP/1.1")
    assert answer.startswith(b"HTTP/1.1 200 ")
    assert '"slow"' not in log.read_text()


def test_passwords_of_one_address_are_few_a_minute(site: tuple[Door, Path]) -> None:
    front, _ = site

    def send(source: str) -> int:
        lines = [f"POST {LOGIN} HTTP/1.1", "Content-Length: 0"]
        return int(front.ask(*lines, source=source).split()[1])

    assert [send("127.0.2.1") for _ in range(14)].count(429) >= 2
    assert send("127.0.2.2") == 403
    assert front.ask(f"HEAD {PUBLIC} HTTP/1.1", source="127.0.2.1").startswith(b"HTTP/1.1 200 ")


def test_the_log_is_json_to_the_last_line_and_speaks_of_no_body_sent_with_a_head(site: tuple[Door, Path]) -> None:
    front, log = site
    front.ask(f"HEAD {PUBLIC} HTTP/1.1", "X-Request-ID: head")
    assert read_line(log, "head")["status"] == 200
    lines = [json.loads(line) for line in log.read_text().splitlines()]
    assert {line["logger"] for line in lines} == {"config.web.access_log", "gunicorn.error"}
    assert not re.search("no-body|control", log.read_text(), re.I)

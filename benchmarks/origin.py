"""A shop's picture server in a process of its own: `python -m benchmarks.origin 60x80 1200x1600`.

It prints its port once it listens on loopback, serves `/60x80/17.jpg` and the like from memory over connections that
stay open, and ends when its standard input closes.
"""

import asyncio
import re
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import cast

from benchmarks.shop_pictures import build_shop, parse_size

_PATH = re.compile(rb"GET /(\d+x\d+)/(\d+)\.jpg HTTP/1\.1\r\n")
_NOT_FOUND = b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n"


@dataclass(frozen=True, slots=True)
class Origin:
    """A running origin: its process id and port."""

    process_id: int
    port: int

    def url(self, size: str, number: int) -> str:
        """Return the URL of a picture."""
        return f"http://127.0.0.1:{self.port}/{size}/{number}.jpg"


class _Connection(asyncio.Protocol):
    """One client's connection. It costs a fifth of asyncio's streams, so that the origin is not what is measured."""

    def __init__(self, shops: Mapping[str, Callable[[int], bytes]]) -> None:
        self._shops = shops
        self._received = b""
        self._write: Callable[[list[bytes]], None]

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._write = cast("asyncio.Transport", transport).writelines

    def data_received(self, data: bytes) -> None:
        self._received += data
        while b"\r\n\r\n" in self._received:
            head, _, self._received = self._received.partition(b"\r\n\r\n")
            self._write(self._answer(head + b"\r\n"))

    def _answer(self, head: bytes) -> list[bytes]:
        found = _PATH.match(head)
        shop = self._shops.get(found[1].decode()) if found else None
        if found is None or shop is None:
            return [_NOT_FOUND]
        body = shop(int(found[2]))
        return [b'HTTP/1.1 200 OK\r\nContent-Type: image/jpeg\r\nETag: "%b"\r\n' % found[2]
                + b"Content-Length: %d\r\n\r\n" % len(body), body]  # fmt: skip


@contextmanager
def running_origin(*sizes: str) -> Iterator[Origin]:
    """Run an origin with pictures of these sizes in a process of its own while the block runs."""
    command = [sys.executable, "-m", "benchmarks.origin", *sizes]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, start_new_session=True) as process:
        # Leaving the block closes its standard input, at which it ends, and waits for it.
        line = process.stdout.readline() if process.stdout else b""
        if not line.strip().isdigit():
            raise RuntimeError(f"expected the origin's port, received {line!r}")
        yield Origin(process_id=process.pid, port=int(line))


async def serve(*sizes: str) -> None:
    """Serve pictures of these sizes until standard input closes."""
    shops = {size: build_shop(parse_size(size)) for size in sizes}
    loop = asyncio.get_running_loop()
    server = await loop.create_server(lambda: _Connection(shops), "127.0.0.1", 0)
    sys.stdout.write(f"{server.sockets[0].getsockname()[1]}\n")
    sys.stdout.flush()
    await loop.run_in_executor(None, sys.stdin.read)
    server.close()


if __name__ == "__main__":
    asyncio.run(serve(*sys.argv[1:]))

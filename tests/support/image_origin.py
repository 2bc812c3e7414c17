"""A picture host on loopback that behaves as told, byte by byte, and listeners that nobody may reach."""

import asyncio
import contextlib
import socket
import ssl
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass, field

from tests.support.threads import running_servers

# The fetcher under test may connect to the first address and to no other of loopback.
ORIGIN_ADDRESS = "127.0.0.2"
FORBIDDEN_ADDRESSES = ("127.0.0.1", "::1")

Handler = Callable[["Request", asyncio.StreamWriter], Awaitable[None]]


@dataclass
class Request:
    """What a client asked for; header names in lower case."""

    path: str
    headers: dict[str, str]


@dataclass
class ImageOrigin:
    """A host with one answer for each path: raw bytes, or a coroutine that writes as it likes."""

    port: int = 0
    answers: dict[str, bytes | Handler] = field(default_factory=dict)
    requests: list[Request] = field(default_factory=list)
    connections: int = 0
    forbidden_connections: int = 0
    open_now: int = 0
    most_open: int = 0

    def url(self, path: str, *, host: str = ORIGIN_ADDRESS, scheme: str = "http") -> str:
        """Return the URL of a path here, under any spelling of a host."""
        return f"{scheme}://{host}:{self.port}{path}"

    def serve(self, path: str, answer: bytes | Handler) -> str:
        """Give a path its answer and return its URL."""
        self.answers[path] = answer
        return self.url(path)

    def paths(self) -> list[str]:
        """The paths asked for so far, in order."""
        return [request.path for request in self.requests]

    async def talk(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Serve one connection until either side ends it."""
        self.connections += 1
        self.open_now += 1
        self.most_open = max(self.most_open, self.open_now)
        try:
            while True:
                request = parse_request(await reader.readuntil(b"\r\n\r\n"))
                self.requests.append(request)
                answer = self.answers.get(request.path, response(b"", status="404 Not Found"))
                if isinstance(answer, bytes):
                    writer.write(answer)
                    await writer.drain()
                else:
                    await answer(request, writer)
                if writer.is_closing():
                    return
        except (OSError, asyncio.IncompleteReadError, asyncio.CancelledError):
            return
        finally:
            self.open_now -= 1
            writer.close()

    async def refuse(self, _reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Count a connection to an address that must never see one."""
        self.forbidden_connections += 1
        writer.close()


def parse_request(head: bytes) -> Request:
    """Return the request of a header block."""
    first, *lines = head.decode("latin-1").rstrip("\r\n").split("\r\n")
    headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
    return Request(path=first.split(" ")[1], headers=headers)


def response(body: bytes, *, status: str = "200 OK", headers: str = "", length: int | str | None = None) -> bytes:
    """Return a response as bytes; `headers` are whole lines, each with its line end."""
    size = len(body) if length is None else length
    return f"HTTP/1.1 {status}\r\nContent-Length: {size}\r\n{headers}\r\n".encode() + body


def slowly(data: bytes, *, seconds: float, length: int = 1) -> Handler:
    """Return an answer that comes so many bytes at a time."""

    async def answer(_request: Request, writer: asyncio.StreamWriter) -> None:
        for position in range(0, len(data), length):
            writer.write(data[position : position + length])
            await writer.drain()
            await asyncio.sleep(seconds)

    return answer


def endlessly(start: bytes, piece: bytes) -> Handler:
    """Return an answer that never ends."""

    async def answer(_request: Request, writer: asyncio.StreamWriter) -> None:
        writer.write(start)
        while True:
            writer.write(piece)
            await writer.drain()

    return answer


def then_close(data: bytes, *, reset: bool = False) -> Handler:
    """Return an answer after which the connection is closed, or reset."""

    async def answer(_request: Request, writer: asyncio.StreamWriter) -> None:
        writer.write(data)
        await writer.drain()
        if reset:
            writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
            await asyncio.sleep(0.05)
            writer.transport.abort()
        writer.close()

    return answer


@contextlib.contextmanager
def running_origin(*, tls: ssl.SSLContext | None = None) -> Iterator[ImageOrigin]:
    """Run an origin in a thread, with counting listeners at the same port of the forbidden addresses."""
    origin = ImageOrigin()

    async def start() -> list[asyncio.Server]:
        server = await asyncio.start_server(origin.talk, ORIGIN_ADDRESS, 0, ssl=tls, limit=1 << 20)
        origin.port = server.sockets[0].getsockname()[1]
        canaries = [await asyncio.start_server(origin.refuse, address, origin.port) for address in FORBIDDEN_ADDRESSES]
        return [server, *canaries]

    with running_servers(start):
        yield origin

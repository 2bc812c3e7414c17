"""Requests to a running site: one after the other, or at a steady rate whether the answers come or not."""

import asyncio
import http.client
import itertools
import math
import multiprocessing
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Final, Self
from urllib.parse import urlsplit

import aiohttp

#: Who visits beside a block looks this often whether it has ended.
_ROUND_SECONDS: Final = 5.0


class Visitor:
    """A client that keeps its connection and asks for one page after the other. A context manager."""

    def __init__(self, address: str) -> None:
        self._connection = http.client.HTTPConnection(urlsplit(address).netloc, timeout=60)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._connection.close()

    def get(self, path: str) -> tuple[float, bytes]:
        """Return the seconds until the whole answer was there, and its body; none where the site gave up with a 503.

        Raises for any other status than these and 200.
        """
        started = time.perf_counter()
        try:
            self._connection.request("GET", path)
            answer = self._connection.getresponse()
        except (http.client.RemoteDisconnected, ConnectionError):
            # The site had closed the idle connection; the time of the second try counts from here.
            self._connection.close()
            started = time.perf_counter()
            self._connection.request("GET", path)
            answer = self._connection.getresponse()
        body = answer.read()
        seconds = time.perf_counter() - started
        if answer.status == http.client.SERVICE_UNAVAILABLE:
            return seconds, b""
        if answer.status != http.client.OK:
            raise RuntimeError(f"expected 200 for {path}, received {answer.status}: {body[:300]!r}")
        return seconds, body


@dataclass(frozen=True, slots=True)
class Load:
    """Answers to requests that were sent at a steady rate: the seconds of each from the moment it was due."""

    seconds: list[float]
    late: float


def send_at_rate(address: str, paths: Sequence[str], *, per_second: float) -> Load:
    """Send a request for each of the paths, `per_second` of them in a second, and return how long the answers took.

    No request waits for the answer to another, and what one waits for a connection counts. `late` is how long the
    sender itself was behind its times at most. Raises for a status other than 200.
    """
    return asyncio.run(_send_at_rate(address, paths, per_second=per_second))


async def _send_at_rate(address: str, paths: Sequence[str], *, per_second: float) -> Load:
    late = 0.0
    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0)) as session:

        async def send(path: str, due: float) -> float:
            async with session.get(address + path) as answer:
                await answer.read()
                if answer.status != 200:
                    raise RuntimeError(f"expected 200 for {path}, received {answer.status}")
            return time.perf_counter() - due

        started = time.perf_counter()
        sent = []
        for number, path in enumerate(paths):
            due = started + number / per_second
            await asyncio.sleep(max(0.0, due - time.perf_counter()))
            late = max(late, time.perf_counter() - due)
            sent.append(asyncio.create_task(send(path, due)))
        return Load(seconds=list(await asyncio.gather(*sent)), late=late)


@contextmanager
def visiting(address: str, paths: Sequence[str], *, per_second: float) -> Iterator[list[float]]:
    """Send requests for the paths at a steady rate, over and over, from a process of its own while the block runs.

    The list that it gives has the seconds of each answer once the block has ended. Raises where an answer was no 200.
    """
    context = multiprocessing.get_context("spawn")
    ended = context.Event()
    here, there = context.Pipe(duplex=False)
    visitor = context.Process(target=_visit, args=(address, paths, per_second, ended, there))
    visitor.start()
    there.close()
    seconds: list[float] = []
    try:
        yield seconds
    finally:
        ended.set()
        try:
            seconds += here.recv()
        except EOFError as error:
            raise RuntimeError("expected every answer of the site to be a 200") from error
        finally:
            visitor.join()


def _visit(address: str, paths: Sequence[str], per_second: float, ended: Any, there: Any) -> None:
    seconds, endless = [], itertools.cycle(paths)
    while not ended.is_set():
        some = list(itertools.islice(endless, math.ceil(per_second * _ROUND_SECONDS)))
        seconds += send_at_rate(address, some, per_second=per_second).seconds
    there.send(seconds)


def percentile(values: Sequence[float], share: float) -> float:
    """Return the smallest of the values that `share` of them do not exceed."""
    return sorted(values)[max(0, math.ceil(share * len(values)) - 1)]

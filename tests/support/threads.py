"""Servers of asyncio that run in a thread beside a test."""

import asyncio
import contextlib
import threading
from collections.abc import Awaitable, Callable, Iterator, Sequence


@contextlib.contextmanager
def running_servers(start: Callable[[], Awaitable[Sequence[asyncio.Server]]]) -> Iterator[None]:
    """Run the servers that `start` opens while the block runs; then whoever they still talk to is cut off."""
    loop = asyncio.new_event_loop()
    started = threading.Event()
    stopping = asyncio.Event()

    async def main() -> None:
        servers = await start()
        started.set()
        await stopping.wait()
        for server in servers:
            server.close()
        others = asyncio.all_tasks() - {asyncio.current_task()}
        for task in others:
            task.cancel()
        await asyncio.gather(*others, return_exceptions=True)

    thread = threading.Thread(target=loop.run_until_complete, args=(main(),), daemon=True)
    thread.start()
    assert started.wait(10), "expected the servers to listen within 10 s"
    try:
        yield
    finally:
        loop.call_soon_threadsafe(stopping.set)
        thread.join(10)
        loop.close()

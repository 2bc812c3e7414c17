"""The fetcher's names: looked up in threads of their own, with the answers that the guard of addresses would refuse."""

import asyncio
import socket
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from aiohttp.abc import AbstractResolver, ResolveResult

from catalog.fetching.addresses import Network, check_address

# A lookup that never ends keeps its thread: the pool is small, and its own, so that nothing else waits behind it.
_LOOKUP_THREADS = 8


class GuardedResolver(AbstractResolver):
    """Looks names up in threads of its own and refuses an answer that holds any address that is not allowed."""

    def __init__(self, *, allowed_networks: tuple[Network, ...], lookup: Callable[..., Any]) -> None:
        self._allowed_networks = allowed_networks
        self._lookup = lookup
        self._threads = ThreadPoolExecutor(_LOOKUP_THREADS, thread_name_prefix="image-host-lookup")

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_UNSPEC
    ) -> list[ResolveResult]:
        """Return the addresses of a name; raises OSError when there are none, BlockedAddressError for a bad answer."""
        # The final dot keeps the machine's search domains out; internal names are wanted only where networks are open.
        name = host if self._allowed_networks or "." not in host or host.endswith(".") else f"{host}."
        entries = await asyncio.get_running_loop().run_in_executor(
            self._threads, self._lookup, name, port, family, socket.SOCK_STREAM
        )
        for entry in entries:
            check_address(entry[4][0], allowed_networks=self._allowed_networks)
        if not entries:
            raise OSError("the name has no address")
        return [
            ResolveResult(
                hostname=host, host=peer[0], port=port, family=entry_family, proto=protocol, flags=socket.AI_NUMERICHOST
            )
            for entry_family, _kind, protocol, _canonical_name, peer in entries
        ]

    async def close(self) -> None:
        """Let the threads go without waiting for lookups under way."""
        self._threads.shutdown(wait=False, cancel_futures=True)

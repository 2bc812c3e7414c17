"""Pictures from untrusted web addresses: the only module that opens a connection to an image host.

Nothing about a URL, a name server's answer, a redirect or a response is believed. Every connection goes to an address
that `catalog.fetching.addresses` permits; redirects are followed by hand; a fetch has one deadline and one byte budget;
nothing is decompressed; no cookies, proxies or credentials are used but the headers that an operator gives for a host.
An error says its code, never an address or a response.

Rates and circuit breakers are those of all processes together where there is a Redis (see
`catalog.fetching.shared_host_limits`), and of each process elsewhere (`catalog.fetching.host_limits`).
"""

import asyncio
import atexit
import functools
import logging
import os
import random
import threading
from collections import defaultdict
from collections.abc import Sequence
from typing import Any, cast

import aiohttp
from aiohttp.client_proto import ResponseHandler
from aiohttp.connector import Connection
from aiohttp.http import HttpProcessingError, RawResponseMessage
from aiohttp.streams import StreamReader
from yarl import URL

from catalog.fetching.addresses import make_guarded_socket
from catalog.fetching.host_limits import Blame, HostLimits, Rest, normalise_host
from catalog.fetching.host_settings import find_headers
from catalog.fetching.policy import (
    MAX_REDIRECTS,
    FetchError,
    FetchPolicy,
    build_redirect_url,
    validate_url,
)
from catalog.fetching.resolver import GuardedResolver
from catalog.fetching.response_headers import PREFIX, find_end, mend_header
from catalog.fetching.responses import (
    EXPECTED_ERRORS,
    FetchRequest,
    FetchResult,
    build_fetch_error,
    build_result,
    check_status,
    read_body,
)
from catalog.fetching.shared_host_limits import SharedHostLimits

logger = logging.getLogger(__name__)

_REDIRECTS = (301, 302, 303, 307, 308)
_HEADERS = {
    "User-Agent": "FashionCatalogue/1.0 (product picture fetcher)",
    "Accept": "image/jpeg,image/png,image/webp,image/gif;q=0.9,*/*;q=0.1",
    "Accept-Encoding": "identity",
}
# Long enough for the next batch of the same shop, short enough that few hosts have closed the connection meanwhile.
_KEEP_ALIVE_SECONDS = 5.0
# How often it is asked whether the trial of a host that rested has an outcome.
_PROBE_POLL_SECONDS = 0.5
# What browsers take of a response's header, all of it together.
_MOST_HEADER_BYTES = 256 * 1024


def fetch_pictures(
    requests: Sequence[FetchRequest], *, policy: FetchPolicy | None = None
) -> list[FetchResult | FetchError]:
    """Return one result or error for each request, in order; it takes `batch_seconds` of the policy at most.

    Equal requests are fetched once. The event loop and its open connections stay for the next call of the same thread:
    measured with the bare client, 60x80 pixels over loopback, a request costs 180 microseconds of processor time that
    way, 280 with a new loop for each 32 requests and 620 with a new connection. Not to be called from a coroutine.
    """
    if not requests:
        return []
    return _get_fetcher(policy or FetchPolicy.from_settings()).fetch(requests)


class Fetcher:
    """An event loop with a pool of guarded connections, for one thread of one process."""

    def __init__(self, policy: FetchPolicy) -> None:
        self.policy = policy
        own_limits = HostLimits(
            get_rate=policy.get_rate,
            failures_before_rest=policy.failures_before_rest,
            rest_seconds=policy.rest_seconds,
            probe_seconds=policy.total_seconds,
        )
        self._limits = SharedHostLimits(own_limits, redis_url=policy.redis_url)
        self._runner: asyncio.Runner | None = None
        self._session: aiohttp.ClientSession | None = None
        self._resolver: GuardedResolver | None = None

    def fetch(self, requests: Sequence[FetchRequest]) -> list[FetchResult | FetchError]:
        """Return one result or error for each request, in order."""
        if self._runner is None:
            self._runner = asyncio.Runner()
        try:
            return self._runner.run(self._fetch_all(requests))
        except BaseException:
            # A time limit or an interrupt can strike between any two steps: nothing of this loop is used again.
            self.close()
            raise

    def close(self) -> None:
        """Close all connections; the next `fetch` opens new ones."""
        runner, session, resolver = self._runner, self._session, self._resolver
        self._runner = self._session = self._resolver = None
        if runner is None:
            return
        for resource in (session, resolver):
            if resource is not None:
                runner.run(resource.close())
        self._limits.close()
        runner.close()

    async def _fetch_all(self, requests: Sequence[FetchRequest]) -> list[FetchResult | FetchError]:
        if self._session is None:
            self._resolver = GuardedResolver(allowed_networks=self.policy.allowed_networks, lookup=self.policy.lookup)
            self._session = _build_session(self.policy, resolver=self._resolver)
        batch = _Batch(self._session, self.policy, self._limits)
        # In another order each time: pictures to which their host has no answer would stand before the others at every
        # try, and it would be at rest whenever those had their turn.
        distinct = list(dict.fromkeys(requests))
        shuffled = random.sample(distinct, len(distinct))
        tasks = {request: asyncio.create_task(batch.fetch_or_error(request)) for request in shuffled}
        _done, pending = await asyncio.wait(
            tasks.values(), timeout=self.policy.batch_seconds, return_when=asyncio.FIRST_EXCEPTION
        )
        for task in pending:
            task.cancel()
        if pending:
            await asyncio.wait(pending)
        late = FetchError("timeout", f"expected an answer within {self.policy.batch_seconds:g} s", retryable=True)
        return [late if tasks[request].cancelled() else tasks[request].result() for request in requests]


class _Batch:
    """The requests of one call, which share the places for connections."""

    def __init__(self, session: aiohttp.ClientSession, policy: FetchPolicy, limits: SharedHostLimits) -> None:
        self._session = session
        self._policy = policy
        self._limits = limits
        self._last_turn_at = asyncio.get_running_loop().time() + policy.most_wait_seconds
        self._places = asyncio.Semaphore(policy.connections)
        self._places_by_host: defaultdict[str, asyncio.Semaphore] = defaultdict(
            lambda: asyncio.Semaphore(policy.connections_per_host)
        )

    async def fetch_or_error(self, request: FetchRequest) -> FetchResult | FetchError:
        try:
            return await self._fetch(request)
        except FetchError as error:
            logger.debug("picture not fetched: %s", error.code, exc_info=True)
            # The traceback would keep what was read of the body alive for as long as the error.
            error.__cause__ = error.__context__ = None
            return error.with_traceback(None)

    async def _fetch(self, request: FetchRequest) -> FetchResult:
        url = validate_url(request.url, policy=self._policy)
        seconds_left = self._policy.total_seconds
        for _ in range(MAX_REDIRECTS + 1):
            host = normalise_host(url.raw_host or "")
            # Few take a turn at a time, so that a host that stood still is not sent all turns at once when it goes on.
            async with self._places_by_host[host]:
                await self._wait_for_turn(host)
                async with self._places:
                    rest = self._limits.find_rest(host)
                    if rest is not None:
                        raise _build_rest_error(rest)
                    started = asyncio.get_running_loop().time()
                    outcome = await self._ask(request, url, host=host, seconds=seconds_left)
                    seconds_left -= asyncio.get_running_loop().time() - started
            if isinstance(outcome, FetchResult):
                return outcome
            url = outcome
            if seconds_left <= 0:
                raise FetchError(
                    "timeout", f"expected an answer within {self._policy.total_seconds:g} s", retryable=True
                )
        raise FetchError("too_many_redirects", f"expected at most {MAX_REDIRECTS} redirects")

    async def _wait_for_turn(self, host: str) -> None:
        loop = asyncio.get_running_loop()
        while True:
            most_seconds = max(0.0, self._last_turn_at - loop.time())
            turn = self._limits.take_turn(host, most_seconds=most_seconds)
            if not isinstance(turn, Rest):
                break
            if not turn.is_probed or most_seconds <= 0:
                raise _build_rest_error(turn)
            await asyncio.sleep(min(turn.seconds, most_seconds, _PROBE_POLL_SECONDS))
        if turn > most_seconds:
            raise FetchError(
                "rate_limited", "the host has been asked too often", retryable=True, retry_after_seconds=turn
            )
        if turn > 0:
            await asyncio.sleep(turn)

    async def _ask(self, request: FetchRequest, url: URL, *, host: str, seconds: float) -> FetchResult | URL:
        """Return the result, or the URL of a redirect; the outcome is counted for the host."""
        try:
            outcome = await self._send(request, url, seconds=seconds)
        except FetchError as error:
            if error.blame is Blame.URL:
                self._limits.record_success(host)
            elif error.blame is not Blame.NOBODY:
                self._limits.record_failure(
                    host,
                    code=error.code,
                    silent_url=str(url) if error.blame is Blame.SILENCE else "",
                    retry_after_seconds=error.retry_after_seconds,
                )
            raise
        self._limits.record_success(host)
        return outcome

    async def _send(self, request: FetchRequest, url: URL, *, seconds: float) -> FetchResult | URL:
        conditions = {"If-None-Match": request.etag, "If-Modified-Since": request.last_modified}
        conditions = {name: value for name, value in conditions.items() if value}
        headers = find_headers(self._policy.host_headers, normalise_host(url.raw_host or "")) | conditions
        timeout = aiohttp.ClientTimeout(
            total=seconds, sock_connect=self._policy.connect_seconds, sock_read=self._policy.read_seconds
        )
        try:
            async with self._session.get(url, headers=headers, allow_redirects=False, timeout=timeout) as response:
                if response.status in _REDIRECTS and (location := response.headers.get("Location")):
                    return build_redirect_url(url, location, policy=self._policy)
                if response.status == 304 and conditions:
                    return build_result(request, response, data=None)
                check_status(response)
                body = await read_body(response, most_bytes=self._policy.most_bytes)
                return build_result(request, response, data=body)
        except EXPECTED_ERRORS as error:
            raise build_fetch_error(error) from error


def _build_rest_error(rest: Rest) -> FetchError:
    return FetchError(rest.code, "the host is left alone for a while", retryable=True, retry_after_seconds=rest.seconds)


class _Protocol(ResponseHandler):
    """Reads a response's header as browsers do, as much of it as they take, before what follows it.

    The parser forgets a whole piece of data in which it finds a fault: a body longer than its announced length would
    hide the response, where it should show as a truncated picture. It limits single headers only.
    """

    _header_bytes_left: int | None = None
    _header = b""

    def set_response_params(self, **options: Any) -> None:
        """Await the header of the next response."""
        self._header_bytes_left = _MOST_HEADER_BYTES
        super().set_response_params(**options)

    def feed_data(self, data: tuple[RawResponseMessage, StreamReader], size: int = 0) -> None:
        """Take a header that is complete; one that only tells of another to come (103) ends nothing."""
        if data[0].code >= 200:
            self._header_bytes_left = None
        super().feed_data(data, size)

    def data_received(self, data: bytes) -> None:
        """Take what came; what is no HTTP at all is the parser's to refuse."""
        if self._header_bytes_left is None:
            super().data_received(data)
            return
        data, self._header = self._header + data, b""
        while self._header_bytes_left is not None and data.startswith(PREFIX[: len(data)]):
            end = find_end(data)
            header, data = (data, b"") if end is None else (data[:end], data[end:])
            if self.transport is None or self.transport.is_closing():
                return
            if len(header) > self._header_bytes_left:
                self.transport.close()
                self.set_exception(HttpProcessingError(message="the header is too long"))
                return
            if end is None:
                self._header = header
                return
            self._header_bytes_left -= end
            mended = mend_header(header)
            if mended != header:
                # Where the next response begins is not as sure as it should be.
                self.force_close()
            super().data_received(mended)
        if data:
            super().data_received(data)

    def connection_lost(self, exc: BaseException | None) -> None:
        """Let the parser judge a header that has no end."""
        if self._header:
            super().data_received(self._header)
            self._header = b""
        super().connection_lost(exc)


class _Connector(aiohttp.TCPConnector):
    """A connection pool that never hands out a connection on which something has come unasked.

    Otherwise a second response after the first would be taken for the answer to the next request.
    """

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self._factory = cast("functools.partial[ResponseHandler]", functools.partial(_Protocol, loop=self._loop))

    async def _get(self, key: Any, traces: Any) -> Connection | None:
        while (connection := await super()._get(key, traces)) is not None:
            if connection.protocol is not None and not connection.protocol.should_close:
                break
            connection.close()
        return connection


def _build_session(policy: FetchPolicy, *, resolver: GuardedResolver) -> aiohttp.ClientSession:
    connector = _Connector(
        resolver=resolver,
        socket_factory=functools.partial(make_guarded_socket, allowed_networks=policy.allowed_networks),
        use_dns_cache=False,
        limit=policy.connections,
        limit_per_host=policy.connections_per_host,
        keepalive_timeout=_KEEP_ALIVE_SECONDS,
    )
    return aiohttp.ClientSession(
        connector=connector,
        headers=_HEADERS,
        cookie_jar=aiohttp.DummyCookieJar(),
        auto_decompress=False,
        trust_env=False,
        max_line_size=_MOST_HEADER_BYTES,
        max_field_size=_MOST_HEADER_BYTES,
        max_headers=_MOST_HEADER_BYTES,
    )


_fetchers = threading.local()


def _get_fetcher(policy: FetchPolicy) -> Fetcher:
    """Return this thread's fetcher for the policy; a forked child gets its own and leaves its parent's alone."""
    fetcher: Fetcher | None = getattr(_fetchers, "fetcher", None)
    if fetcher is not None:
        is_own = _fetchers.process_id == os.getpid()
        if is_own and fetcher.policy == policy:
            return fetcher
        atexit.unregister(fetcher.close)
        if is_own:
            fetcher.close()
        else:
            # Closing it would also unregister the parent's sockets from the event queue that both processes share.
            _fetchers.inherited = fetcher
    fetcher = _fetchers.fetcher = Fetcher(policy)
    _fetchers.process_id = os.getpid()
    atexit.register(fetcher.close)
    return fetcher

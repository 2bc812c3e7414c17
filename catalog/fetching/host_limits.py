"""How often a picture host is asked, and when it is left alone, as far as one process knows.

A token bucket and a circuit breaker per host. `catalog.fetching.shared_host_limits` puts the same before all processes.
"""

import enum
import time
from collections.abc import Callable
from dataclasses import dataclass, field

from catalog.fetching.addresses import find_literal_address

# The longest name that the name system has.
_MOST_HOST_LENGTH = 253
# Hosts remembered at a time; beyond that those are dropped that need not rest and were not asked lately.
_MOST_HOSTS = 4_096


class Blame(enum.Enum):
    """Against whom a failure counts; the only place that says so. `responses` and `fetcher` give each failure its own.

    Failures in a row let a host rest. What ends the row is any answer that speaks for a single URL: a picture, but a
    404, a thumbnailer's 500 or an answer that cannot be read as well.
    """

    # The host has answered, whatever it said: the others' pictures have nothing to fear.
    URL = enum.auto()
    # It answered nothing, too late, 429 or 503. One picture may be slow or broken by itself, so that each URL counts
    # once, however often it is tried; of many it is the host's fault. A `Retry-After` holds for the URL, and for the
    # host when it comes to rest.
    SILENCE = enum.auto()
    # No address, no connection, no certificate: the URL was not even sent. Each failure counts.
    HOST = enum.auto()
    # Nothing was asked of the host.
    NOBODY = enum.auto()


@dataclass
class _HostState:
    tokens: float
    refilled_at: float
    failures: int = 0
    silent_urls: set[str] = field(default_factory=set)
    rests_until: float = 0.0
    rest_code: str = ""
    probed_until: float = 0.0


@dataclass(frozen=True)
class Rest:
    """A pause that a host is given: the error code that led to it and the seconds that are left.

    `is_probed` says that the pause is over and somebody is trying the host; the seconds are what that may take at most.
    """

    code: str
    seconds: float
    is_probed: bool = False


def normalise_host(host: str) -> str:
    """Return the one name under which a host is counted, whatever the URL spells it like."""
    literal = find_literal_address(host)
    return str(literal) if literal is not None else host.lower().rstrip(".")[:_MOST_HOST_LENGTH]


def get_burst(rate: float) -> float:
    """Return how many requests may come at once: a second of them."""
    return max(1.0, rate)


def get_refill_seconds(rate: float) -> float:
    """Return after how many seconds a host is owed nothing more by this rate."""
    return get_burst(rate) / rate if rate > 0 else 0.0


class HostLimits:
    """The requests of one process, counted by host; all methods return at once and nothing here waits."""

    def __init__(
        self,
        *,
        get_rate: Callable[[str], float],
        failures_before_rest: int = 5,
        rest_seconds: float = 60.0,
        probe_seconds: float = 10.0,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """`get_rate` says how many requests a second a host of this name may get; 0 is no limit."""
        self.get_rate = get_rate
        self.failures_before_rest = failures_before_rest
        self.rest_seconds = rest_seconds
        self.probe_seconds = probe_seconds
        self._clock = clock
        self._hosts: dict[str, _HostState] = {}

    def take_turn(self, host: str, *, most_seconds: float) -> float | Rest:
        """Return the host's pause, or what `reserve` returns; the first turn after failures and a pause is a probe.

        Until its outcome is recorded, or `probe_seconds` have passed, nobody else gets a turn.
        """
        if (rest := self.find_rest(host)) is not None:
            return rest
        now = self._clock()
        state = self._hosts.get(host)
        if state is None or state.failures < self.failures_before_rest:
            return self.reserve(host, most_seconds=most_seconds)
        if state.probed_until > now:
            return Rest(code=state.rest_code, seconds=state.probed_until - now, is_probed=True)
        wait_seconds = self.reserve(host, most_seconds=most_seconds)
        if wait_seconds <= most_seconds:
            state.probed_until = now + wait_seconds + self.probe_seconds
        return wait_seconds

    def reserve(self, host: str, *, most_seconds: float) -> float:
        """Return the seconds until a request may be sent, and count it unless that is more than `most_seconds`."""
        rate = self.get_rate(host)
        if rate <= 0:
            return 0.0
        state = self._get_state(host)
        now = self._clock()
        state.tokens = min(get_burst(rate), state.tokens + (now - state.refilled_at) * rate)
        state.refilled_at = now
        wait_seconds = max(0.0, (1.0 - state.tokens) / rate)
        if wait_seconds <= most_seconds:
            state.tokens -= 1.0
        return wait_seconds

    def find_rest(self, host: str) -> Rest | None:
        """Return the host's present pause, or None when it may be asked."""
        state = self._hosts.get(host)
        if state is None or state.rests_until <= (now := self._clock()):
            return None
        return Rest(code=state.rest_code, seconds=state.rests_until - now)

    def record_success(self, host: str) -> None:
        """Forget the host's failures."""
        state = self._hosts.get(host)
        if state is not None:
            state.failures = 0
            state.silent_urls.clear()
            state.probed_until = 0.0

    def record_failure(
        self, host: str, *, code: str, silent_url: str = "", retry_after_seconds: float | None = None
    ) -> None:
        """Count a failure in a row; let the host rest when there were too many, for as long as it asked for at least.

        A URL that had no answer (`silent_url`) counts once. After its rest the host is tried again, and the next
        failure of any URL lets it rest at once.
        """
        state = self._get_state(host)
        state.probed_until = 0.0
        if state.failures < self.failures_before_rest:
            state.failures += silent_url not in state.silent_urls
            state.silent_urls |= {silent_url} - {""}
        if state.failures >= self.failures_before_rest:
            seconds = max(self.rest_seconds, retry_after_seconds or 0.0)
            state.rests_until = max(state.rests_until, self._clock() + seconds)
            state.rest_code = code

    def count_failures(self, host: str) -> int:
        """Return the host's failures in a row."""
        state = self._hosts.get(host)
        return 0 if state is None else state.failures

    def adopt(self, host: str, *, failures: int, rest: Rest | None) -> None:
        """Take over what all processes know: the failures in a row, and a pause unless ours is longer."""
        if failures == 0 and rest is None and host not in self._hosts:
            return
        state = self._get_state(host)
        state.failures = failures
        state.probed_until = 0.0
        if rest is not None:
            state.rest_code = rest.code
            if not rest.is_probed:
                state.rests_until = max(state.rests_until, self._clock() + rest.seconds)

    def _get_state(self, host: str) -> _HostState:
        state = self._hosts.get(host)
        if state is None:
            if len(self._hosts) >= _MOST_HOSTS:
                self._drop_idle_hosts()
            burst = get_burst(self.get_rate(host))
            state = self._hosts[host] = _HostState(tokens=burst, refilled_at=self._clock())
        return state

    def _drop_idle_hosts(self) -> None:
        now = self._clock()
        self._hosts = {
            host: state
            for host, state in self._hosts.items()
            if max(state.rests_until, state.probed_until) > now
            or now - state.refilled_at < get_refill_seconds(self.get_rate(host))
        }

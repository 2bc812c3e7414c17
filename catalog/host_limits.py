"""How often a picture host is asked, and when it is left alone.

A token bucket and a circuit breaker per host, kept in this process: with several worker processes a host sees at most
the rate times the number of processes, and each process finds out for itself that a host is down.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass

# Hosts remembered at a time; beyond that those with nothing to remember are dropped.
_MOST_HOSTS = 4_096


@dataclass
class _HostState:
    tokens: float
    refilled_at: float
    failures: int = 0
    rests_until: float = 0.0
    rest_code: str = ""


@dataclass(frozen=True)
class Rest:
    """A pause that a host is given: the error code that led to it and the seconds that are left."""

    code: str
    seconds: float


class HostLimits:
    """The requests of one process, counted by host; all methods return at once and nothing here waits."""

    def __init__(
        self,
        *,
        requests_per_second: float,
        failures_before_rest: int = 5,
        rest_seconds: float = 60.0,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._rate = requests_per_second
        self._burst = max(1.0, requests_per_second)
        self._failures_before_rest = failures_before_rest
        self._rest_seconds = rest_seconds
        self._clock = clock
        self._hosts: dict[str, _HostState] = {}

    def reserve(self, host: str, *, most_seconds: float) -> float:
        """Return the seconds until a request may be sent, and count it unless that is more than `most_seconds`."""
        if self._rate <= 0:
            return 0.0
        state = self._get_state(host)
        now = self._clock()
        state.tokens = min(self._burst, state.tokens + (now - state.refilled_at) * self._rate)
        state.refilled_at = now
        wait_seconds = max(0.0, (1.0 - state.tokens) / self._rate)
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

    def record_failure(self, host: str, *, code: str, retry_after_seconds: float | None = None) -> None:
        """Count a failure in a row; let the host rest when there were too many, or for as long as it asked for.

        After its rest the host is tried again, and the next failure lets it rest at once.
        """
        state = self._get_state(host)
        state.failures += 1
        seconds = retry_after_seconds or 0.0
        if state.failures >= self._failures_before_rest:
            seconds = max(seconds, self._rest_seconds)
        if seconds > 0:
            state.rests_until = max(state.rests_until, self._clock() + seconds)
            state.rest_code = code

    def _get_state(self, host: str) -> _HostState:
        state = self._hosts.get(host)
        if state is None:
            if len(self._hosts) >= _MOST_HOSTS:
                self._drop_idle_hosts()
            state = self._hosts[host] = _HostState(tokens=self._burst, refilled_at=self._clock())
        return state

    def _drop_idle_hosts(self) -> None:
        now = self._clock()
        refill_seconds = self._burst / self._rate if self._rate > 0 else 0.0
        self._hosts = {
            host: state
            for host, state in self._hosts.items()
            if state.rests_until > now or now - state.refilled_at < refill_seconds
        }

"""How often a picture host is asked, and when it is left alone, by all processes together.

The bucket, the failures and the pause of a host stand in Redis, as one hash that expires when it says nothing any more.
A turn is one script, so that what is read and what is written belong together; moments are by the server's clock. The
bucket is kept as the moment at which it will be full again: a request moves that by one token's time, and has to wait
while it lies further ahead than the whole bucket's time.
"""

import logging
import time
from collections.abc import Callable
from hashlib import blake2b
from typing import Any, Final

from redis import Redis
from redis.exceptions import RedisError

from catalog.fetching.host_limits import HostLimits, Rest, get_burst, get_refill_seconds
from config.caches import IMPATIENT, PAUSE_SECONDS

logger = logging.getLogger(__name__)

KEY_PREFIX: Final = "catalogue-host:"
#: The hosts that are left alone, by the moment until which.
RESTING_KEY: Final = "catalogue-resting-hosts"

_PRELUDE: Final = """
local time = redis.call('TIME')
local now = time[1] + time[2] / 1000000
local function seconds_until(moment) return math.max(0, (tonumber(moment) or 0) - now) end
local function as_text(number) return string.format('%.6f', number) end
"""

_TAKE_TURN: Final = (
    _PRELUDE
    + """
local rate, burst, most_seconds = tonumber(ARGV[1]), tonumber(ARGV[2]), tonumber(ARGV[3])
local failures_before_rest, probe_seconds, remembered_seconds = tonumber(ARGV[4]), tonumber(ARGV[5]), tonumber(ARGV[6])
local host = redis.call('HMGET', KEYS[1], 'full_at', 'failures', 'rests_until', 'probed_until', 'code')
local failures = tonumber(host[2]) or 0
local is_probe = failures >= failures_before_rest
local rest = seconds_until(host[3])
if rest > 0 then return {'rest', failures, as_text(rest), host[5] or ''} end
rest = seconds_until(host[4])
if is_probe and rest > 0 then return {'probed', failures, as_text(rest), host[5] or ''} end
local full_at = math.max(tonumber(host[1]) or 0, now) + 1 / rate
local wait = math.max(0, full_at - now - burst / rate)
if wait <= most_seconds then
    redis.call('HSET', KEYS[1], 'full_at', as_text(full_at))
    if is_probe then redis.call('HSET', KEYS[1], 'probed_until', as_text(now + wait + probe_seconds)) end
    local seconds = full_at - now
    if failures > 0 then seconds = math.max(seconds, remembered_seconds) end
    redis.call('PEXPIRE', KEYS[1], math.ceil(seconds * 1000))
end
return {'turn', failures, as_text(wait), ''}
"""
)

_RECORD_FAILURE: Final = (
    _PRELUDE
    + """
local code, url, seconds = ARGV[1], ARGV[2], tonumber(ARGV[3])
local failures_before_rest, rest_seconds, remembered_seconds = tonumber(ARGV[4]), tonumber(ARGV[5]), tonumber(ARGV[6])
local host = redis.call('HMGET', KEYS[1], 'failures', 'silent_urls', 'rests_until')
local failures, silent_urls = tonumber(host[1]) or 0, host[2] or ''
if failures < failures_before_rest and (url == '' or not string.find(silent_urls, url, 1, true)) then
    failures = failures + 1
    redis.call('HSET', KEYS[1], 'failures', failures, 'silent_urls', silent_urls .. ' ' .. url)
end
local rest = seconds_until(host[3])
if failures >= failures_before_rest then
    rest = math.max(rest, seconds, rest_seconds)
    redis.call('HSET', KEYS[1], 'rests_until', as_text(now + rest), 'code', code)
    redis.call('ZREMRANGEBYSCORE', KEYS[2], '-inf', as_text(now))
    redis.call('ZADD', KEYS[2], as_text(now + rest), KEYS[1])
end
redis.call('HDEL', KEYS[1], 'probed_until')
redis.call('PEXPIRE', KEYS[1], math.ceil((rest + remembered_seconds) * 1000))
return {failures, as_text(rest)}
"""
)

_RECORD_SUCCESS: Final = "return redis.call('HDEL', KEYS[1], 'failures', 'silent_urls', 'probed_until')"


def count_resting_hosts(redis_url: str) -> int:
    """Return how many hosts all processes leave alone now. Raises Redis' errors."""
    with Redis.from_url(redis_url, **IMPATIENT) as redis:
        seconds, microseconds = redis.time()
        return int(redis.zcount(RESTING_KEY, f"({seconds + microseconds / 1_000_000}", "+inf"))


class SharedHostLimits:
    """The limits of `own`, for all processes together where there is a Redis and a rate.

    Without a rate nothing is asked of Redis, and while Redis is away `own` decides, with what was known last.

    A question holds up the event loop for its round trip, a fraction of a millisecond, and for `TIMEOUT_SECONDS` once
    in `PAUSE_SECONDS` while Redis hangs. A client on the event loop costs more of the processor, and on a busy machine
    it takes its own late awakening for a server that does not answer.
    """

    def __init__(self, own: HostLimits, *, redis_url: str, clock: Callable[[], float] = time.monotonic) -> None:
        self._own = own
        self._clock = clock
        self._redis: Redis | None = None
        if redis_url:
            self._redis = Redis.from_url(redis_url, decode_responses=True, **IMPATIENT)
        self._is_away = False
        self._asks_again_at = 0.0

    def take_turn(self, host: str, *, most_seconds: float) -> float | Rest:
        """Return the host's pause, or the seconds until a request may be sent; more than `most_seconds` do not count.

        After failures and a pause one turn is given, and the next when its outcome is recorded or `probe_seconds` are
        over.
        """
        own = self._own
        if (known := own.find_rest(host)) is not None:
            return known
        rate = own.get_rate(host)
        reply = self._ask(
            _TAKE_TURN,
            host,
            rate,
            get_burst(rate),
            most_seconds,
            own.failures_before_rest,
            own.probe_seconds,
            self._get_remembered_seconds(host),
        )
        if reply is None:
            return own.take_turn(host, most_seconds=most_seconds)
        kind, failures, seconds, code = reply
        rest = None if kind == "turn" else Rest(code=code, seconds=float(seconds), is_probed=kind == "probed")
        own.adopt(host, failures=failures, rest=rest)
        return rest or float(seconds)

    def find_rest(self, host: str) -> Rest | None:
        """Return the host's present pause as far as this process knows, or None; asks nobody."""
        return self._own.find_rest(host)

    def record_success(self, host: str) -> None:
        """Forget the host's failures; asks Redis only if there were any."""
        had_failures = self._own.count_failures(host) > 0
        self._own.record_success(host)
        if had_failures:
            self._ask(_RECORD_SUCCESS, host)

    def record_failure(
        self, host: str, *, code: str, silent_url: str = "", retry_after_seconds: float | None = None
    ) -> None:
        """Count a failure as `HostLimits.record_failure` does."""
        own = self._own
        reply = self._ask(
            _RECORD_FAILURE,
            host,
            code,
            blake2b(silent_url.encode(), digest_size=8).hexdigest() if silent_url else "",
            retry_after_seconds or 0.0,
            own.failures_before_rest,
            own.rest_seconds,
            self._get_remembered_seconds(host),
        )
        if reply is None:
            own.record_failure(host, code=code, silent_url=silent_url, retry_after_seconds=retry_after_seconds)
            return
        failures, seconds = reply
        rest = Rest(code=code, seconds=float(seconds)) if float(seconds) > 0 else None
        own.adopt(host, failures=failures, rest=rest)

    def _get_remembered_seconds(self, host: str) -> float:
        """Failures outlive the rest that they led to, so that a probe follows it; no bucket is forgotten half empty."""
        return 10 * self._own.rest_seconds + get_refill_seconds(self._own.get_rate(host))

    def close(self) -> None:
        """Close the connection; the next question opens a new one."""
        if self._redis is not None:
            self._redis.close()

    def _ask(self, script: str, host: str, *arguments: str | float) -> Any:
        """Return what the script answers for the host, or None where Redis is not to be asked or does not answer."""
        if self._redis is None or self._own.get_rate(host) <= 0 or self._clock() < self._asks_again_at:
            return None
        try:
            reply: Any = self._redis.register_script(script)(keys=[KEY_PREFIX + host, RESTING_KEY], args=arguments)
        except (RedisError, OSError) as error:
            if not self._is_away:
                logger.warning(
                    "hosts are limited by this process alone, Redis does not answer: %s", type(error).__name__
                )
            self._is_away = True
            self._asks_again_at = self._clock() + PAUSE_SECONDS
            return None
        if self._is_away:
            logger.warning("hosts are limited by all processes together again")
            self._is_away = False
        return reply

"""REDIS_URL, read once for its three users, each of which has a grammar of its own: kombu, Django's cache, redis-py."""

import os
from typing import Final, NamedTuple
from urllib.parse import parse_qsl, quote, unquote, urlencode, urlsplit

from django.core.exceptions import ImproperlyConfigured

_FORMS: Final = (
    "redis://[[user]:password@]host[:port][/number], rediss:// likewise for TLS, or "
    "unix:///path/of/the/socket[?db=number], with %2F %3F %23 %40 for / ? # @ in a password"
)
_SOCKETS: Final = ("unix", "redis+socket")
_TLS_FILES: Final = ("ssl_ca_certs", "ssl_certfile", "ssl_keyfile")
# The words of redis-py and of Celery. To a client optional means required.
_TLS_WORDS: Final = {
    "ssl_cert_reqs": dict.fromkeys(("required", "optional", "cert_required", "cert_optional"), "required")
    | dict.fromkeys(("none", "cert_none"), "none"),
    "ssl_check_hostname": dict.fromkeys(("true", "yes", "1"), "true") | dict.fromkeys(("false", "no", "0"), "false"),
}
_TLS_DEFAULTS: Final = {"ssl_cert_reqs": "required", "ssl_check_hostname": "true"}


class RedisURLs(NamedTuple):
    """One Redis in the words of redis-py and Django's cache, and in kombu's."""

    client: str
    broker: str


def parse_redis_url(url: str) -> RedisURLs:
    """Return what each user of the Redis at this URL is told; a TLS certificate is verified unless it says `none`.

    Raises `ImproperlyConfigured` for what one of them would not understand, or not as the others; the message has
    nothing of a password.
    """
    scheme, mark, _ = url.partition("://")
    scheme = scheme.lower()
    if not mark or scheme not in ("redis", "rediss", *_SOCKETS):
        raise _refuse(f"one that begins with {scheme}://" if mark else "one without ://")
    try:
        parts = urlsplit(url)
        host, port, options = parts.hostname or "", parts.port or 6379, dict(parse_qsl(parts.query, True, True))
    except ValueError:
        raise _refuse("one whose host, port or parameters cannot be read") from None
    if "#" in url or "@" in parts.query:
        raise _refuse("one with a # or a late @")
    number = options.pop("db", None) or options.pop("virtual_host", None) or "0"
    names = (parts.username, parts.password)
    user = ":".join(quote(unquote(name), safe="") for name in names if name is not None)
    user += "@" if user else ""
    tls = {name: options.pop(name) for name in (*_TLS_WORDS, *_TLS_FILES) if scheme == "rediss" and name in options}
    if options:
        raise _refuse(f"one with {', '.join(sorted(options))}, which {scheme}:// does not take")
    if scheme in _SOCKETS:
        if host or len(parts.path) < 2:
            raise _refuse("one whose path is not absolute")
        place = user + quote(unquote(parts.path))
        urls = RedisURLs(f"unix://{place}?db={number}", f"redis+socket://{place}?virtual_host={number}")
    else:
        if not host:
            raise _refuse("one without a host")
        number = parts.path.strip("/") or number
        place = f"{scheme}://{user}{f'[{host}]' if ':' in host else host}:{port}/{number}"
        urls = RedisURLs(*[place + (f"?{urlencode(_check_tls(tls))}" if scheme == "rediss" else "")] * 2)
    if not (number.isascii() and number.isdigit()):
        raise _refuse("one whose database is no number")
    return urls


def _check_tls(options: dict[str, str]) -> dict[str, str]:
    """Return the options as all three users read them, with what they shall be by default."""
    checked = _TLS_DEFAULTS | options
    for name, words in _TLS_WORDS.items():
        if checked[name].lower() not in words:
            raise _refuse(f"one whose {name} is {checked[name]}, and not one of {', '.join(words)}")
        checked[name] = words[checked[name].lower()]
    for name in checked.keys() & set(_TLS_FILES):
        if not os.access(checked[name], os.R_OK):
            raise _refuse(f"one whose {name} is no file that can be read")
    return checked


def _refuse(received: str) -> ImproperlyConfigured:
    return ImproperlyConfigured(f"Expected REDIS_URL to be {_FORMS}; received {received}.")

"""One REDIS_URL for three users: each reads the same Redis from it, or the product does not start."""

import logging
import os
import subprocess
import sys
from collections.abc import Iterator
from typing import Any
from urllib.parse import urlsplit

import pytest
from django.conf import settings as django_settings
from django.core.cache import caches
from django.core.exceptions import ImproperlyConfigured

from catalog.fetching.host_limits import HostLimits
from catalog.fetching.shared_host_limits import SharedHostLimits
from classifier.monitoring.health import check_readiness
from config.caches import ForgivingRedis
from config.redis_urls import parse_redis_url
from tests.support.redis_fronts import make_certificate, running_fronts

TLS = "?ssl_cert_reqs=required&ssl_check_hostname=true"


@pytest.mark.parametrize(
    "url, client, broker",
    [
        ("redis://h", "redis://h:6379/0", "redis://h:6379/0"),
        ("REDIS://h:1/2", "redis://h:1/2", "redis://h:1/2"),
        ("redis://h?db=3", "redis://h:6379/3", "redis://h:6379/3"),
        ("redis://[::1]:5/3", "redis://[::1]:5/3", "redis://[::1]:5/3"),
        ("redis://:a:b%40%23%2F@h", "redis://:a%3Ab%40%23%2F@h:6379/0", "redis://:a%3Ab%40%23%2F@h:6379/0"),
        ("redis://u:p@h", "redis://u:p@h:6379/0", "redis://u:p@h:6379/0"),
        ("rediss://h", f"rediss://h:6379/0{TLS}", f"rediss://h:6379/0{TLS}"),
        ("unix:///run/a b.sock", "unix:///run/a%20b.sock?db=0", "redis+socket:///run/a%20b.sock?virtual_host=0"),
        ("redis+socket://:p@/s?virtual_host=4", "unix://:p@/s?db=4", "redis+socket://:p@/s?virtual_host=4"),
    ],
)
def test_each_user_is_told_in_its_own_words(url: str, client: str, broker: str) -> None:
    assert parse_redis_url(url) == (client, broker)


@pytest.mark.parametrize("word", ["required", "CERT_REQUIRED", "optional", "CERT_OPTIONAL"])
def test_a_certificate_is_verified_in_whatever_words_it_is_asked_for(word: str) -> None:
    assert parse_redis_url(f"rediss://h?ssl_cert_reqs={word}") == parse_redis_url("rediss://h")


@pytest.mark.parametrize("word", ["none", "CERT_NONE"])
def test_a_certificate_is_not_verified_where_that_is_said(word: str) -> None:
    assert "ssl_cert_reqs=none" in parse_redis_url(f"rediss://h?ssl_cert_reqs={word}").broker


@pytest.mark.parametrize(
    "url, received",
    [
        ("amqp://guest:secret@h//", "one that begins with amqp://"),
        ("sentinel://h:26379", "one that begins with sentinel://"),
        ("redis:/127.0.0.1", "one without ://"),
        ("127.0.0.1:6379", "one without ://"),
        ("redis:///0", "one without a host"),
        ("redis://h:port", "one whose host, port or parameters cannot be read"),
        ("redis://:secret/@h/0", "one whose host, port or parameters cannot be read"),
        ("redis://:12?a=secret@h/0", "one with a # or a late @"),
        ("redis://:s3:c@r#secret/%@h:6379/0", "one with a # or a late @"),
        ("redis://h/0;redis://secret@b/0", "one whose database is no number"),
        ("redis://h/zero", "one whose database is no number"),
        ("redis://h?ssl_cert_reqs=none", "one with ssl_cert_reqs, which redis:// does not take"),
        ("rediss://h?socket_timeout=3", "one with socket_timeout, which rediss:// does not take"),
        ("rediss://h?ssl_cert_reqs=perhaps", "one whose ssl_cert_reqs is perhaps, and not one of required, optional"),
        ("rediss://h?ssl_ca_certs=/no/such/file", "one whose ssl_ca_certs is no file that can be read"),
        ("unix://run/redis.sock", "one whose path is not absolute"),
        ("unix:///run/redis.sock?timeout=3", "one with timeout, which unix:// does not take"),
    ],
)
def test_what_one_of_them_would_not_understand_is_refused_in_words(url: str, received: str) -> None:
    with pytest.raises(ImproperlyConfigured, match=r"^Expected REDIS_URL to be redis://\[") as refusal:
        parse_redis_url(url)
    assert f"; received {received}" in str(refusal.value)
    assert "secret" not in str(refusal.value)


def test_the_product_does_not_start_with_it() -> None:
    environment = {**os.environ, "REDIS_URL": "amqp://guest:secret@h//", "DJANGO_SETTINGS_MODULE": ""}
    environment.pop("DJANGO_SETTINGS_MODULE")
    command = [sys.executable, "manage.py", "check"]
    ended = subprocess.run(command, cwd=django_settings.BASE_DIR, env=environment, capture_output=True, check=False)
    assert ended.returncode == 1
    (line,) = ended.stderr.decode().splitlines()
    assert line.startswith("ImproperlyConfigured: Expected REDIS_URL to be redis://")
    assert "secret" not in line


# --- with a real server -----------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def fronts(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, str]]:
    """Give the address of a TLS front, the file of its certificate, and the path of a Unix socket."""
    folder = tmp_path_factory.mktemp("fronts")
    certificate, context = make_certificate(folder, address="127.0.0.1")
    port = urlsplit(django_settings.REDIS_URL).port
    assert port is not None
    with running_fronts(port, tls=context, socket=folder / "s.sock") as tls_port:
        yield {"tls": f"127.0.0.1:{tls_port}", "ca": str(certificate), "socket": str(folder / "s.sock")}


def who_works(url: str, settings: Any, caplog: pytest.LogCaptureFixture) -> dict[str, bool]:
    """Return for broker, cache and host limits whether they reach the Redis at the URL."""
    urls = parse_redis_url(url)
    settings.CACHES = {"default": {"BACKEND": "config.caches.SharedCache", "LOCATION": urls.client}}
    ForgivingRedis.away_until = 0.0
    caches["default"].set("name", "value", 60)
    limits = SharedHostLimits(HostLimits(get_rate=lambda host: 10), redis_url=urls.client)
    with caplog.at_level(logging.WARNING):
        limits.take_turn("shop.example", most_seconds=1)
        limits.close()
    settings.CELERY_BROKER_URL = urls.broker
    found = {
        "broker": check_readiness()["broker"] == "ok",
        "cache": caches["default"].get("name") == "value",
        "limits": not caplog.records,
    }
    ForgivingRedis.away_until = 0.0
    return found


@pytest.mark.redis
@pytest.mark.django_db
@pytest.mark.parametrize(
    "url, works",
    [
        ("unix://{socket}", True),
        ("redis+socket://{socket}?virtual_host=2", True),
        ("rediss://{tls}/1?ssl_ca_certs={ca}", True),
        ("rediss://{tls}/1?ssl_ca_certs={ca}&ssl_cert_reqs=CERT_REQUIRED", True),
        ("rediss://{tls}/1?ssl_cert_reqs=none", True),
        ("rediss://{tls}/1", False),
        ("rediss://{tls}/1?ssl_check_hostname=false", False),
    ],
)
def test_all_three_reach_it_or_none_does(
    fronts: dict[str, str], settings: Any, caplog: pytest.LogCaptureFixture, url: str, *, works: bool
) -> None:
    assert who_works(url.format(**fronts), settings, caplog) == dict.fromkeys(("broker", "cache", "limits"), works)

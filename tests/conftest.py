"""The test suite's database, broker and private folders.

Without further word the suite runs on a PostgreSQL and a Valkey server of its own. ``TEST_DATABASE_URL`` and
``TEST_REDIS_URL`` name other servers. ``TEST_DATABASE_URL=sqlite://`` runs on SQLite and the file-system broker, as
the embedded product does; tests marked ``postgresql`` or ``redis`` are then skipped.
"""

import os
import shutil
import signal
import tempfile
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from django.conf import settings as django_settings
from django.core.cache import cache

from tests.support.servers import Server, ServerError, start_postgresql, start_redis

SETTINGS_MODULE = "config.settings.test"


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add the options of the generated requests."""
    group = parser.getgroup("generated requests to the API")
    group.addoption("--api-cases", type=int, default=2000, metavar="N", help="how many there are; 2000 by default")
    group.addoption("--api-seed", type=int, default=1, metavar="N", help="what they are made from; 1 by default")


@pytest.hookimpl(tryfirst=True)
def pytest_configure(config: pytest.Config) -> None:
    """Start what the run needs and name it in the environment before Django reads its settings."""
    config.addinivalue_line("markers", "postgresql: the test needs PostgreSQL; skipped on SQLite")
    config.addinivalue_line("markers", "redis: the test needs a Redis server; skipped on the file-system broker")
    if config.option.help or config.option.version:
        return
    if django_settings.configured:
        raise pytest.UsageError("expected DJANGO_SETTINGS_MODULE to be unset: the test servers must start before it")
    # A shell that runs the suite in the background has it ignore Ctrl-C, and every process it starts; tests send it.
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)
    folder = Path(tempfile.mkdtemp(prefix="test-var-"))
    config.add_cleanup(lambda: shutil.rmtree(folder, ignore_errors=True))
    os.environ["VAR_DIR"] = str(folder)
    embedded = urlsplit(os.environ.get("TEST_DATABASE_URL", "")).scheme == "sqlite"
    try:
        _provide(config, "DATABASE_URL", start=None if embedded else start_postgresql)
        _provide(config, "REDIS_URL", start=None if embedded else start_redis)
    except ServerError as error:
        raise pytest.UsageError(str(error)) from error
    os.environ["DJANGO_SETTINGS_MODULE"] = SETTINGS_MODULE
    # pytest-django sets Django up after this hook, if the settings are loaded by then.
    assert django_settings.INSTALLED_APPS


def _provide(config: pytest.Config, variable: str, *, start: Any) -> None:
    """Set `variable` to the URL given for tests, or to that of a server started for this run, or to nothing."""
    url = os.environ.get(f"TEST_{variable}", "")
    os.environ.pop(variable, None)
    if start is not None and not url:
        server: Server = start()
        config.add_cleanup(server.stop)
        url = server.url
    if url and url != "sqlite://":
        os.environ[variable] = url


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Skip what this run's database and broker cannot show."""
    reasons = {}
    if "sqlite" in django_settings.DATABASES["default"]["ENGINE"]:
        reasons["postgresql"] = "needs PostgreSQL, this run uses SQLite"
    if not django_settings.REDIS_URL:
        reasons["redis"] = "needs Redis, this run uses the file-system broker"
    for item in items:
        for marker, reason in reasons.items():
            if item.get_closest_marker(marker) is not None:
                item.add_marker(pytest.mark.skip(reason=reason))


@pytest.fixture(autouse=True)
def media_folder(settings: Any, tmp_path: Path) -> Path:
    """Keep the pictures of one test from the next: media storage is a new empty folder."""
    settings.MEDIA_ROOT = tmp_path / "media"
    return tmp_path / "media"


@pytest.fixture(autouse=True)
def _empty_cache() -> None:
    """Let no test meet the request counts of another."""
    cache.clear()

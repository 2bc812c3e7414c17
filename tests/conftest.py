"""The test suite's database, broker and private folders.

Without further word the suite runs on a PostgreSQL and a Valkey server of its own. ``TEST_DATABASE_URL`` and
``TEST_REDIS_URL`` name other servers. ``TEST_DATABASE_URL=sqlite://`` runs on SQLite and the file-system broker, as
the embedded product does; tests marked ``postgresql`` or ``redis`` are then skipped.
"""

import os

# Before NumPy is there: the matrices of tests are small, and threads that wait for each other are most of the work.
os.environ.setdefault("OMP_NUM_THREADS", "1")

import shutil
import signal
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import hypothesis
import pytest
from django.conf import settings as django_settings
from django.core.cache import cache
from django.db import connection

from tests.support.forks import start_forking
from tests.support.running_demo import running_demo
from tests.support.servers import (
    FILE_TEMPLATE_VARIABLE,
    Server,
    ServerError,
    make_template,
    migrate,
    move_redis_url,
    start_postgresql,
    start_redis,
)
from tests.support.side_by_side import (
    FILE_VARIABLE,
    GROUPS,
    WholeModulesScheduling,
    divides_tests,
    find_group,
    get_worker_number,
    order_groups,
    stand_back,
    write_groups,
)

__all__ = ["running_demo"]

SETTINGS_MODULE = "config.settings.test"
MARKERS = (
    "postgresql: the test needs PostgreSQL; skipped on SQLite",
    "redis: the test needs a Redis server; skipped on the file-system broker",
    "both_databases: the outcome depends on the kind of database; `make test` runs these on SQLite as well",
    "processes: the test starts or kills processes, or opens a browser; not beside another such test",
    "long: the module takes long and is begun early",
)


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add the options of this suite."""
    parser.addoption("--line-coverage", action="store_true", help="print which lines of the product the tests reached")
    group = parser.getgroup("generated requests to the API")
    group.addoption("--api-cases", type=int, default=200, metavar="N", help="how many there are; 200 by default")
    group.addoption("--api-seed", type=int, default=1, metavar="N", help="what they are made from; 1 by default")


@pytest.hookimpl(tryfirst=True)
def pytest_configure(config: pytest.Config) -> None:
    """Start what the run needs and name it in the environment before Django reads its settings."""
    for marker in MARKERS:
        config.addinivalue_line("markers", marker)
    if config.option.help or config.option.version:
        return
    if django_settings.configured:
        raise pytest.UsageError("expected DJANGO_SETTINGS_MODULE to be unset: the test servers must start before it")
    # A shell that runs the suite in the background has it ignore Ctrl-C, and every process it starts; tests send it.
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)
    if config.option.line_coverage:
        from tests.support.line_coverage import LineCoverage

        # Before anything of the product is imported.
        config.pluginmanager.register(LineCoverage(divides=divides_tests(config)), "line-coverage")
    # How long an example takes is a question of what else the machine does.
    hypothesis.settings.register_profile("suite", deadline=None)
    hypothesis.settings.load_profile("suite")
    folder = Path(tempfile.mkdtemp(prefix="test-var-"))
    config.add_cleanup(lambda: shutil.rmtree(folder, ignore_errors=True))
    try:
        _provide_database(config, folder)
        if divides_tests(config):
            # Those that run the tests have the rest each for itself, and this process does without Django.
            os.environ[FILE_VARIABLE] = str(folder / "groups.json")
            config.add_cleanup(start_forking())
            return
        _provide_redis(config)
    except ServerError as error:
        raise pytest.UsageError(str(error)) from error
    os.environ |= {"VAR_DIR": str(folder), "DJANGO_SETTINGS_MODULE": SETTINGS_MODULE}
    # Of every process that a test starts, each of which has a folder of its own.
    os.environ.setdefault("SECRET_KEY", "only-for-tests-" + "x" * 50)
    # pytest-django sets Django up after this hook, if the settings are loaded by then.
    assert django_settings.INSTALLED_APPS


def _is_embedded() -> bool:
    return urlsplit(os.environ.get("TEST_DATABASE_URL", "")).scheme == "sqlite"


def _provide_database(config: pytest.Config, folder: Path) -> None:
    """Name one server for the whole run in DATABASE_URL; on it, pytest-django makes a database for each process."""
    if get_worker_number(config) is not None and "DATABASE_URL" in os.environ:
        return  # the process that divides the tests has named it
    url = os.environ.get("TEST_DATABASE_URL", "")
    os.environ.pop("DATABASE_URL", None)
    if divides_tests(config):
        # Each of the processes would go through all migrations.
        _migrate_once(config, url, folder)
    if not url:
        url = _start(config, start_postgresql)
    if url != "sqlite://":
        os.environ["DATABASE_URL"] = url


def _migrate_once(config: pytest.Config, url: str, folder: Path) -> None:
    """Make what the tests' databases begin with: a server's data, or a file of SQLite."""
    if not url:
        config.add_cleanup(make_template().stop)
    elif url == "sqlite://":
        path = folder / "template.sqlite3"
        migrate(f"sqlite:///{path}")
        os.environ[FILE_TEMPLATE_VARIABLE] = str(path)


def _provide_redis(config: pytest.Config) -> None:
    """Name a server of this process's own in REDIS_URL, or a database of its own on the server given for tests.

    A private server costs a few megabytes, and its statistics, which tests look at, are those of one process.
    """
    url, number = os.environ.get("TEST_REDIS_URL", ""), get_worker_number(config) or 0
    os.environ.pop("REDIS_URL", None)
    if url:
        os.environ["REDIS_URL"] = move_redis_url(url, by=number)
    elif not _is_embedded():
        os.environ["REDIS_URL"] = _start(config, start_redis)


def _start(config: pytest.Config, start: Callable[[], Server]) -> str:
    server = start()
    config.add_cleanup(server.stop)
    return server.url


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Any:
    """Divide the tests between processes by whole modules and groups."""
    return WholeModulesScheduling(config, log) if config.option.dist == "loadscope" else None


def pytest_ignore_collect(collection_path: Path, config: pytest.Config) -> bool | None:
    """Import no module of which no test is wanted: TensorFlow alone takes each process 4 s."""
    is_wanted = (
        config.option.markexpr != "both_databases"
        or not collection_path.name.startswith("test_")
        or "both_databases" in collection_path.read_text()
    )
    return None if is_wanted else True


@pytest.hookimpl(wrapper=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> Iterator[None]:
    """Skip what this run's database and broker cannot show, and order what is divided between processes."""
    reasons = {}
    if "sqlite" in django_settings.DATABASES["default"]["ENGINE"]:
        reasons["postgresql"] = "needs PostgreSQL, this run uses SQLite"
    if not django_settings.REDIS_URL:
        reasons["redis"] = "needs Redis, this run uses the file-system broker"
    for item in items:
        for marker, reason in reasons.items():
            if item.get_closest_marker(marker) is not None:
                item.add_marker(pytest.mark.skip(reason=reason))
    yield
    order_groups(items)  # pytest-django has put the tests in an order of its own
    if get_worker_number(config) == 0:
        write_groups(items)


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup(item: pytest.Item) -> None:
    """Leave the processors to those tests that take longest."""
    if get_worker_number(item.config) is not None and find_group(item) != GROUPS[0]:
        stand_back()


@pytest.fixture(scope="session")
def django_db_keepdb(django_db_modify_db_settings: None) -> bool:
    """Have a database of SQLite begin as a copy, where the run made what to copy."""
    template = os.environ.get(FILE_TEMPLATE_VARIABLE)
    if template is not None:
        shutil.copy(template, django_settings.DATABASES["default"]["TEST"]["NAME"])
    return template is not None


@pytest.fixture(autouse=True)
def media_folder(settings: Any, tmp_path: Path) -> Path:
    """Keep the pictures of one test from the next: media storage is a new empty folder."""
    settings.MEDIA_ROOT = tmp_path / "media"
    return tmp_path / "media"


@pytest.fixture(autouse=True)
def _kept_rows_go(request: pytest.FixtureRequest) -> Iterator[None]:
    """Let a test that commits leave no change of stage behind, though the database keeps them.

    PostgreSQL empties tables without asking triggers of rows, SQLite deletes row by row.
    """
    marker = request.node.get_closest_marker("django_db")
    commits = "transactional_db" in request.fixturenames or (marker is not None and marker.kwargs.get("transaction"))
    if not commits or connection.vendor != "sqlite":
        yield
        return
    request.getfixturevalue("transactional_db")
    yield
    with connection.cursor() as cursor:
        cursor.execute("SELECT sql FROM sqlite_master WHERE name = 'classifier_stagechange_deleted'")
        (trigger,) = cursor.fetchone()
        cursor.execute("DROP TRIGGER classifier_stagechange_deleted")
        cursor.execute("DELETE FROM classifier_stagechange")
        cursor.execute(trigger)


@pytest.fixture(autouse=True)
def _empty_cache() -> None:
    """Let no test meet the request counts of another."""
    cache.clear()

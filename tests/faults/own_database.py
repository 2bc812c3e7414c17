"""A database of a test's or program's own: a server that it may stop and start while Django and workers use it."""

import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import django
from django.core.management import call_command
from django.db import connection

from tests.support.servers import POSTGRESQL_SETTINGS, Server, migrate, migrate_unless_copied, start_postgresql


def start_migrated_server() -> Server:
    """Start a server that keeps at a kill what it committed, with the product's tables in database ``postgres``."""
    server = start_postgresql(server_settings={**POSTGRESQL_SETTINGS, "synchronous_commit": "on", "autovacuum": "on"})
    migrate_unless_copied(server)
    return server


@contextmanager
def running_alone(name: str, *, embedded: bool) -> Iterator[Path]:
    """Set Django up for a program on a database of its own, SQLite if `embedded`; give its folder, which goes after."""
    folder = Path(tempfile.mkdtemp(prefix=f"{name}-"))
    os.environ |= {
        "DJANGO_SETTINGS_MODULE": "config.settings.test",
        "VAR_DIR": str(folder / "var"),
        "SECRET_KEY": "only-for-tests-" + "x" * 50,
        "LOG_LEVEL": "WARNING",
    }
    os.environ.pop("REDIS_URL", None)
    server = None
    try:
        if embedded:
            os.environ["DATABASE_URL"] = f"sqlite:///{folder / 'database.sqlite3'}"
            migrate(os.environ["DATABASE_URL"])
        else:
            server = start_migrated_server()
            os.environ["DATABASE_URL"] = server.url
        django.setup()
        yield folder
    finally:
        if server is not None:
            server.stop()
        shutil.rmtree(folder, ignore_errors=True)


@contextmanager
def working_on(server: Server) -> Iterator[None]:
    """Point Django's connection at the server while the block runs, and empty its tables in the end."""
    before = dict(connection.settings_dict)
    connection.close()
    connection.settings_dict.update(HOST=str(server.folder), PORT="", NAME="postgres", USER="postgres", PASSWORD="")
    try:
        yield
        call_command("flush", interactive=False, verbosity=0)
    finally:
        connection.close()
        connection.settings_dict.update(before)

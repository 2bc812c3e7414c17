"""Another site on an empty database of the same kind: where a backup is restored."""

import os
import sqlite3
import subprocess
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import psycopg2
from django.db import connection

from tests.support.forks import run_forked
from tests.support.servers import get_test_database_url


@dataclass(frozen=True, slots=True)
class Elsewhere:
    """The other site: its database, and a folder with all its files."""

    url: str
    folder: Path

    @property
    def media(self) -> Path:
        """Its media storage."""
        return self.folder / "media"

    @property
    def artefacts(self) -> Path:
        """Its artefacts."""
        return self.folder / "artefacts"

    def run(self, *arguments: str, redis_url: str = "") -> subprocess.CompletedProcess[str]:
        """Run `manage.py arguments` there."""
        environment = os.environ | {
            "DJANGO_SETTINGS_MODULE": "config.settings.base",
            "DATABASE_URL": self.url,
            "REDIS_URL": redis_url,
            "VAR_DIR": str(self.folder),
        }
        return run_forked("manage.py", *arguments, env=environment)

    def ask(self, statement: str) -> list[tuple[Any, ...]]:
        """Return the rows of a statement on its database."""
        with closing(self.connect()) as database, closing(database.cursor()) as cursor:
            cursor.execute(statement)
            return cursor.fetchall()

    def connect(self) -> Any:
        """Open a connection to its database."""
        if connection.vendor == "sqlite":
            return sqlite3.connect(self.url.removeprefix("sqlite:///"))
        return psycopg2.connect(**{**_get_server(), "dbname": urlsplit(self.url).path.rpartition("/")[2]})


def _get_server() -> dict[str, Any]:
    wanted = ("host", "port", "user", "password", "dbname")
    return {name: value for name, value in connection.get_connection_params().items() if name in wanted}


@contextmanager
def elsewhere(folder: Path, *, name: str = "restored") -> Iterator[Elsewhere]:
    """Give another site, whose database has no tables and goes in the end."""
    folder.mkdir()
    if connection.vendor == "sqlite":
        yield Elsewhere(f"sqlite:///{folder / 'site.sqlite3'}", folder)
        return
    name = f"{connection.settings_dict['NAME']}_{name}"
    with closing(psycopg2.connect(**{**_get_server(), "dbname": "postgres"})) as server:
        server.autocommit = True
        with server.cursor() as cursor:
            cursor.execute(f'CREATE DATABASE "{name}" TEMPLATE template0')
            try:
                url = urlsplit(get_test_database_url())
                yield Elsewhere(url._replace(path=f"{url.path.rpartition('/')[0]}/{name}").geturl(), folder)
            finally:
                cursor.execute(f'DROP DATABASE "{name}" WITH (FORCE)')

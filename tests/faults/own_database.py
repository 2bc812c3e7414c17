"""A PostgreSQL server that a test may stop and start while Django and the workers use it."""

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from django.core.management import call_command
from django.db import connection

from tests.support.servers import POSTGRESQL_SETTINGS, Server, start_postgresql

REPOSITORY = Path(__file__).resolve().parents[2]


def start_migrated_server() -> Server:
    """Start a server that keeps at a kill what it committed, with the product's tables in database ``postgres``."""
    server = start_postgresql(server_settings={**POSTGRESQL_SETTINGS, "synchronous_commit": "on", "autovacuum": "on"})
    environment = {**os.environ, "DJANGO_SETTINGS_MODULE": "config.settings.base", "DATABASE_URL": server.url}
    command = [sys.executable, "manage.py", "migrate", "--verbosity", "0"]
    subprocess.run(command, cwd=REPOSITORY, env=environment, check=True)
    return server


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

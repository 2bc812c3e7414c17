"""A PostgreSQL server that a test may stop and start while Django and the workers use it."""

from collections.abc import Iterator
from contextlib import contextmanager

from django.core.management import call_command
from django.db import connection

from tests.support.servers import POSTGRESQL_SETTINGS, Server, migrate, start_postgresql


def start_migrated_server() -> Server:
    """Start a server that keeps at a kill what it committed, with the product's tables in database ``postgres``."""
    server = start_postgresql(server_settings={**POSTGRESQL_SETTINGS, "synchronous_commit": "on", "autovacuum": "on"})
    migrate(server.url)
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

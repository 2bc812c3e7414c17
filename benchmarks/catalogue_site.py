"""A site for the catalogue's benchmark: PostgreSQL and Gunicorn, real and private."""

import os
import shutil
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Final

import django

from tests.support.ports import find_port
from tests.support.servers import DURABLE_SETTINGS, start_postgresql

#: As docs/operations.md starts it.
GUNICORN: Final = ("gunicorn", "config.wsgi", "--workers", "2", "--threads", "4")
#: What a server with four gigabytes of memory would be given; the rest as it comes.
SERVER_SETTINGS: Final = {**DURABLE_SETTINGS, "shared_buffers": "1GB", "max_wal_size": "4GB"}
_START_SECONDS: Final = 60.0


@contextmanager
def running_database() -> Iterator[Path]:
    """Run PostgreSQL while the block runs, with Django set up on it and the tables made; give a folder for files.

    It writes as durably as in production. Everything is stopped and removed at the end.
    """
    with ExitStack() as stack:
        folder = Path(tempfile.mkdtemp(prefix="benchmark-"))
        stack.callback(shutil.rmtree, folder, ignore_errors=True)
        server = start_postgresql(server_settings=SERVER_SETTINGS)
        stack.callback(server.stop)
        os.environ.update(
            DJANGO_SETTINGS_MODULE="config.settings.base",
            VAR_DIR=str(folder),
            DATABASE_URL=server.url,
        )
        os.environ.setdefault("LOG_LEVEL", "WARNING")
        for name in ("REDIS_URL", "MEDIA_ROOT", "ARTEFACTS_DIR", "ARTEFACT_KEY", "DEFAULT_FILE_STORAGE", "HTTPS"):
            os.environ.pop(name, None)
        django.setup()
        from django.core.management import call_command

        call_command("migrate", verbosity=0)
        yield folder


@contextmanager
def running_site(folder: Path) -> Iterator[str]:
    """Run the site while the block runs, as production does, and give its address."""
    # It needs the settings, which are read when the database is up.
    from config.processes import running

    port = find_port()
    address = f"http://127.0.0.1:{port}"
    log = folder / "site.log"
    with running(*GUNICORN, "--bind", f"127.0.0.1:{port}", log=log) as process:
        deadline = time.monotonic() + _START_SECONDS
        while not _answers(f"{address}/healthz/live"):
            if process.poll() is not None or time.monotonic() > deadline:
                sys.stderr.write(log.read_text())
                raise RuntimeError(f"expected the site at {address} within {_START_SECONDS:.0f} s")
            time.sleep(0.05)
        yield address


def _answers(url: str) -> bool:
    try:
        with urllib.request.urlopen(url, timeout=1):  # noqa: S310 - our own address
            return True
    except (urllib.error.URLError, OSError):
        return False

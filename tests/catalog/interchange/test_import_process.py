"""The import command as a process: killed, run again, and long."""

import json
import os
import sqlite3
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
from django.db import connection

from catalog.models import Product
from tests.support.importing import counts
from tests.support.servers import get_test_database_url, migrate

pytestmark = pytest.mark.processes

ROOT = Path(__file__).resolve().parents[3]


@pytest.mark.both_databases
@pytest.mark.django_db(transaction=True)
def test_killed_import_leaves_whole_batches_and_running_it_again_finishes(tmp_path):
    environment = build_environment(tmp_path)
    lines = [
        json.dumps({"id": number, "title": f"Product {number}", "images": [f"{number}.png", "shared.png"]}) + "\n"
        for number in range(1, 3_001)
    ]
    path = tmp_path / "catalogue.jsonl"
    path.write_text("".join(lines))
    process = subprocess.Popen(
        [sys.executable, "manage.py", "import_catalog", "-", "--format=jsonl"],
        cwd=ROOT,
        env=environment,
        stdin=subprocess.PIPE,
        text=True,
    )
    # The second batch is read half-way and waits for the rest when the process dies.
    process.stdin.write("".join(lines[:1_500]))
    process.stdin.flush()
    wait_for(lambda: count_products(tmp_path) == 1_000)
    process.kill()
    process.wait()

    assert count_products(tmp_path) == 1_000
    again, third = import_twice(environment, path)

    assert counts(again) == (2_000, 0, 1_000, 0)
    assert counts(third) == (0, 0, 3_000, 0)
    assert count_products(tmp_path) == 3_000


MEASURE = """
import io, json, resource, sys
import django
django.setup()
from catalog.interchange.reading import read_records
from catalog.interchange.importing import import_catalog

class Lines(io.RawIOBase):
    def __init__(self, first, last):
        self.numbers, self.rest = iter(range(first, last)), b""
    def readable(self):
        return True
    def readinto(self, buffer):
        while len(self.rest) < len(buffer):
            number = next(self.numbers, None)
            if number is None:
                break
            product = {"title": f"Product {number}", "images": [f"{number}.png"],
                       "descriptions": [{"country_code": "us", "original_text": "a text of some length " * 10}]}
            self.rest += json.dumps(product).encode() + b"\\n"
        part, self.rest = self.rest[:len(buffer)], self.rest[len(buffer):]
        buffer[:len(part)] = part
        return len(part)

def run(first, last):
    stream = io.BufferedReader(Lines(first, last))
    report = import_catalog(read_records(stream, format="jsonl"))
    assert report.created == last - first, report
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss

before = run(0, 2_000)
print(json.dumps({"kibibytes": run(2_000, 22_000) - before}))
"""


@pytest.mark.django_db(transaction=True)
def test_memory_stays_constant_over_a_long_file(tmp_path):
    environment = build_environment(tmp_path)

    output = subprocess.run(
        [sys.executable, "-c", MEASURE], cwd=ROOT, env=environment, check=True, capture_output=True, text=True
    ).stdout

    # Kept in memory, the 20,000 products would take more than 20 MB; a second batch more or less takes a few.
    assert json.loads(output)["kibibytes"] < 12_000


def test_wrong_option_is_bad_usage(tmp_path):
    environment = {**os.environ, "VAR_DIR": str(tmp_path)}

    process = subprocess.run(
        [sys.executable, "manage.py", "import_catalog", "catalogue.xml", "--format=xml"],
        cwd=ROOT,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )

    assert process.returncode == 2
    assert "invalid choice: 'xml'" in process.stderr
    assert process.stdout == ""


def build_environment(folder: Path) -> dict[str, str]:
    """Return the environment of a process on the test's PostgreSQL database, or on a new SQLite file in `folder`."""
    environment = {**os.environ, "VAR_DIR": str(folder)}
    if connection.vendor == "postgresql":
        environment["DATABASE_URL"] = get_test_database_url()
    else:
        migrate(f"sqlite:///{folder / 'db.sqlite3'}")
    return environment


def import_twice(environment: dict[str, str], path: Path) -> list[dict[str, Any]]:
    """Import a file two times and return what the command says of each."""
    program = "import django; django.setup(); from django.core.management import call_command as call\n"
    program += 2 * f"call('import_catalog', {str(path)!r}, '--json')\n"
    said = subprocess.run(
        [sys.executable, "-c", program], cwd=ROOT, env=environment, check=True, capture_output=True, text=True
    )
    return [json.loads(line) for line in said.stdout.splitlines()]


def count_products(folder: Path) -> int:
    """Return how many products the database of `build_environment` holds."""
    if connection.vendor == "postgresql":
        return Product.objects.count()
    database = sqlite3.connect(f"file:{folder / 'db.sqlite3'}?mode=ro", uri=True)
    try:
        return database.execute("SELECT COUNT(*) FROM product").fetchone()[0]
    finally:
        database.close()


def wait_for(is_reached, timeout_seconds: float = 60.0) -> None:
    """Return as soon as `is_reached()`; fails after the time."""
    deadline = time.monotonic() + timeout_seconds
    while not is_reached():
        assert time.monotonic() < deadline, f"expected the state within {timeout_seconds} s"
        time.sleep(0.05)

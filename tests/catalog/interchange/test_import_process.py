"""The import command as a process: killed, run again, and long."""

import json
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from catalog.models import Product
from tests.support.importing import Importer, counts
from tests.support.servers import get_test_database_url

pytestmark = [pytest.mark.processes, pytest.mark.django_db(transaction=True)]

ROOT = Path(__file__).resolve().parents[3]


@pytest.mark.both_databases
def test_killed_import_leaves_whole_batches_and_running_it_again_finishes(tmp_path):
    lines = [
        json.dumps({"id": number, "title": f"Product {number}", "images": [f"{number}.png", "shared.png"]}) + "\n"
        for number in range(1, 1_801)
    ]
    process = subprocess.Popen(
        [sys.executable, "manage.py", "import_catalog", "-", "--format=jsonl"],
        cwd=ROOT,
        env=build_environment(tmp_path),
        stdin=subprocess.PIPE,
        text=True,
    )
    # The second batch is read half-way and waits for the rest when the process dies.
    process.stdin.write("".join(lines[:1_500]))
    process.stdin.flush()
    wait_for(lambda: Product.objects.count() == 1_000)
    process.kill()
    process.wait()

    assert Product.objects.count() == 1_000
    importer = Importer(tmp_path)
    assert counts(importer.run("".join(lines))) == (800, 0, 1_000, 0)
    assert counts(importer.run("".join(lines))) == (0, 0, 1_800, 0)
    assert Product.objects.count() == 1_800


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
print(json.dumps({"kibibytes": run(2_000, 14_000) - before}))
"""


def test_memory_stays_constant_over_a_long_file(tmp_path):
    command = [sys.executable, "-c", MEASURE]
    output = subprocess.run(
        command, cwd=ROOT, env=build_environment(tmp_path), check=True, capture_output=True, text=True
    ).stdout

    # Kept in memory, the 12,000 products would take more than 12 MB; a second batch more or less takes a few.
    assert json.loads(output)["kibibytes"] < 8_000


def build_environment(folder: Path) -> dict[str, str]:
    """Return the environment of a process that works on the test's database."""
    return {**os.environ, "VAR_DIR": str(folder), "DATABASE_URL": get_test_database_url()}


def wait_for(is_reached, timeout_seconds: float = 60.0) -> None:
    """Return as soon as `is_reached()`; fails after the time."""
    deadline = time.monotonic() + timeout_seconds
    while not is_reached():
        assert time.monotonic() < deadline, f"expected the state within {timeout_seconds} s"
        time.sleep(0.05)

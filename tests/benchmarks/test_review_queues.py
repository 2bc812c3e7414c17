"""The benchmark of the queues of reviews on a small catalogue: what it reports, not how fast it is."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.long

REPOSITORY = Path(__file__).resolve().parents[2]


@pytest.mark.postgresql
def test_every_queue_gives_pages_whose_tiles_are_reviewed() -> None:
    command = [sys.executable, "-m", "benchmarks.review_queues", "--products", "600", "--pages", "1", "--json"]
    result = subprocess.run(command, cwd=REPOSITORY, capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stderr
    report = json.loads(result.stdout)
    assert set(report["queues"]) == {"unsure", "suspicious", "audit", "second_look"}
    # Of two pages of every queue half the tiles were there to be reviewed; at first nothing is suspicious.
    assert report["reviews"] >= 96
    assert report["sample"] == 600

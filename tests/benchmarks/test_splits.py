"""The benchmark of families on a few pictures: that it finds them, not how fast."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.long

REPOSITORY = Path(__file__).resolve().parents[2]


@pytest.mark.postgresql
@pytest.mark.timeout(600)
def test_families_are_found() -> None:
    command = [sys.executable, "-m", "benchmarks.splits", "--pictures", "500", "--rounds", "5", "--json"]
    result = subprocess.run(command, cwd=REPOSITORY, capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stderr
    report = json.loads(result.stdout)
    assert (report["pictures"], report["rounds"], report["found"]) == (500, 5, 5)
    assert report["p95_milliseconds"] >= report["median_milliseconds"] > 0

"""The benchmark of drift checks on a few pictures: that those that were moved are found, not how fast."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.long

REPOSITORY = Path(__file__).resolve().parents[2]


@pytest.mark.postgresql
@pytest.mark.timeout(600)
def test_moved_pictures_are_found() -> None:
    command = [sys.executable, "-m", "benchmarks.drift", "--pictures", "12000", "--rounds", "1", "--json"]
    result = subprocess.run(command, cwd=REPOSITORY, capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stderr
    report = json.loads(result.stdout)
    assert (report["pictures"], report["rounds"], report["found"]) == (12_000, 1, 1)
    assert report["newest_seconds"] > 0

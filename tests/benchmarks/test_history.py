"""The benchmark of the history of labels on a small catalogue: what it reports, not how fast it is."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.long

REPOSITORY = Path(__file__).resolve().parents[2]


@pytest.mark.postgresql
def test_every_kind_of_answer_is_asked_for() -> None:
    command = [sys.executable, "-m", "benchmarks.history", "--products", "300", "--changes", "1500", "--requests", "2"]
    result = subprocess.run([*command, "--json"], cwd=REPOSITORY, capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stderr
    report = json.loads(result.stdout)
    assert {"products as of", "product as of", "changes"} <= set(report["milliseconds"])
    assert report["milliseconds"].keys() >= report["limits"].keys()
    assert all(row["percentile_95"] >= row["median"] > 0 for row in report["milliseconds"].values())

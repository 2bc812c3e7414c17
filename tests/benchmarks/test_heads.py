"""The benchmark of a version with other heads on a small catalogue: what it reports, not how fast it is."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.long

REPOSITORY = Path(__file__).resolve().parents[2]


@pytest.mark.postgresql
def test_every_picture_is_labelled_from_its_features() -> None:
    command = [sys.executable, "-m", "benchmarks.heads", "--products", "300", "--json"]
    result = subprocess.run(command, cwd=REPOSITORY, capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stderr
    report = json.loads(result.stdout)
    assert (report["products"], report["labelled_from_features"], report["new_tasks"]) == (300, 300, 0)
    assert (report["labels_unlike_the_version"], report["changes"]) == (0, 300)

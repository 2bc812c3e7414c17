"""The benchmark of an adoption on a small catalogue: what it reports, not how fast it is."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.long

REPOSITORY = Path(__file__).resolve().parents[2]


@pytest.mark.postgresql
def test_going_back_gives_every_label_back_without_inference() -> None:
    command = [sys.executable, "-m", "benchmarks.adoption", "--products", "300", "--json"]
    result = subprocess.run(command, cwd=REPOSITORY, capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stderr
    report = json.loads(result.stdout)
    assert (report["products"], report["changed"], report["missing"]) == (300, 300, 0)
    assert (report["labels_unlike_the_version"], report["inference_calls"]) == (0, 0)
    assert report["site_answers"] >= 50
    assert report["site_percentile_99_milliseconds"] >= report["site_median_milliseconds"] > 0

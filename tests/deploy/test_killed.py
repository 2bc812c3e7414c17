"""The short form of the proof that every process of compose.yaml may be killed; `make proof` has the long one."""

import json

import pytest

from tests.deploy.composed import list_own_services
from tests.support.forks import run_forked
from tests.support.front import find_caddy

LABELS = 100


@pytest.mark.postgresql
@pytest.mark.redis
@pytest.mark.processes
@pytest.mark.timeout(1200)
def test_a_run_ends_with_every_label_though_each_process_is_killed(monkeypatch: pytest.MonkeyPatch) -> None:
    # What buildah starts in an image's root outlives buildah; plain processes end when they are killed.
    monkeypatch.delenv("PRODUCT_IMAGE", raising=False)
    victims = {*list_own_services(), "database", "broker"} | ({"front"} if find_caddy() else set())
    options = ["--labels", str(LABELS), "--kills", str(len(victims)), "--hasty", "--forks", "--json"]
    ended = run_forked("-m", "tests.deploy.killed", *options)
    assert ended.returncode == 0, ended.stdout + ended.stderr
    outcome = json.loads(ended.stdout)
    assert outcome["kills"] == dict.fromkeys(victims, 1)
    assert outcome["lost"] == outcome["doubled"] == outcome["failed"] == 0

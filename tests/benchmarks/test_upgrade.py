"""What the benchmark of upgrades says of each migration."""

import json
import os
import re
from pathlib import Path

import pytest

from benchmarks import upgrade
from benchmarks.upgrade_steps import add_locks, add_waits, find_steps
from tests.support.forks import fork
from tests.support.servers import REPOSITORY, migrate_unless_copied, start_postgresql


class Forked:
    """A fork as the benchmark has its processes: with what it says, when it has ended."""

    def __init__(self, *arguments: str, output: Path, url: str) -> None:
        environment = os.environ | {"DATABASE_URL": url, "DJANGO_SETTINGS_MODULE": "config.settings.base"}
        self.output, self.returncode = output, 0
        self._fork = fork(*arguments, output=output, env=environment | {"PGAPPNAME": upgrade.APPLICATION})
        self.poll = self._fork.poll

    def communicate(self) -> tuple[str, None]:
        self.returncode = self._fork.wait(120)
        return self.output.read_text(), None


@pytest.mark.postgresql
def test_what_came_after_the_migrations_that_are_named_is_measured(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    options = upgrade.parse_arguments(["--from", "catalog.0019", "--from", "classifier.0045"])
    server = start_postgresql()
    migrate_unless_copied(server)
    # In small: on the tables of this commit, which goes back to what is named instead of coming to it.
    monkeypatch.setattr(upgrade, "RELEASED", ())
    monkeypatch.setattr(upgrade, "_FILL", ())
    monkeypatch.setattr(upgrade, "_start", lambda *words: Forked(*words, output=tmp_path / words[-1], url=server.url))
    try:
        dsn = f"host={server.folder} user=postgres dbname=postgres"
        report = upgrade.measure(dsn, products=1, begin=options.begin)
    finally:
        server.stop()
    assert report["migrations"][0]["migration"] == "classifier.0046_output_runs"
    assert report["writes"] > 0


def test_the_migrations_that_the_page_names_are_there() -> None:
    (command,) = re.findall(r"`(--from .+?)`", (REPOSITORY / "docs/upgrades.md").read_text())
    begin = upgrade.parse_arguments(command.split()).begin
    assert len(begin) == 2
    assert all(list((REPOSITORY / app / "migrations").glob(f"{number}_*.py")) for app, number in begin)


def test_locks_and_waits_are_those_of_the_migration_that_ran() -> None:
    lines = [
        {"migration": "catalog.0004_moves", "began": 10.0, "ended": 11.0},
        {"migration": "catalog.0005_labels", "began": 11.5, "ended": 14.0},
    ]
    steps = find_steps("\n".join(["said besides", *map(json.dumps, lines)]))
    looks = [
        (9.0, 0.5, "product", "AccessExclusiveLock"),
        (10.5, 0.25, "product", "ShareLock"),
        (10.75, 0.25, "product", "AccessExclusiveLock"),
        (10.75, 0.25, "image", "ShareLock"),
        (11.25, 0.25, "image", "AccessExclusiveLock"),
        (12.0, 0.5, "made_meanwhile", "AccessExclusiveLock"),
    ]
    add_locks(steps, looks, tables={"product", "image"})
    add_waits(steps, [(9.0, 10.5), (10.9, 12.5), (13.0, 13.25), (20.0, 29.0)])
    assert [step.to_json() for step in steps] == [
        {
            "migration": "catalog.0004_moves",
            "seconds": 1.0,
            "longest_wait_seconds": 1.6,
            "locks": {
                "image": {"mode": "ShareLock", "seconds": 0.25},
                "product": {"mode": "AccessExclusiveLock", "seconds": 0.5},
            },
        },
        {"migration": "catalog.0005_labels", "seconds": 2.5, "longest_wait_seconds": 1.6, "locks": {}},
    ]

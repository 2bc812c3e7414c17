"""What the benchmark of upgrades says of each migration."""

import json

from benchmarks.upgrade_steps import add_locks, add_waits, find_steps


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

"""What each migration of an upgrade took, which tables it locked, and how long that kept writers waiting.

    python -m benchmarks.upgrade_steps

applies the migrations as `manage.py migrate` does, and prints when each began and ended, a JSON line each, by the clock
that all processes of a machine share.
"""

import json
import sys
import time
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any, Final

#: The weakest first; what is weaker than these keeps no writer waiting.
_MODES: Final = ("ShareLock", "ShareRowExclusiveLock", "ExclusiveLock", "AccessExclusiveLock")
#: How the connection that migrates is called.
APPLICATION: Final = "upgrade"
LOCKS: Final = f"""
    SELECT relation.relname, held.mode FROM pg_locks AS held
    JOIN pg_class AS relation ON relation.oid = held.relation
    JOIN pg_stat_activity AS activity ON activity.pid = held.pid
    WHERE held.granted AND relation.relkind = 'r' AND activity.datname = current_database()
    AND held.mode IN {_MODES} AND activity.application_name = '{APPLICATION}'
"""  # noqa: S608 - words of ours


@dataclass(slots=True)
class Step:
    """A migration: when it ran, the strongest lock of each table and how long that was seen, the longest wait."""

    name: str
    began: float
    ended: float
    locks: dict[str, str] = field(default_factory=dict)
    locked_seconds: dict[str, float] = field(default_factory=dict)
    longest_wait_seconds: float = 0.0

    def to_json(self) -> dict[str, Any]:
        """Return plain values."""
        return {
            "migration": self.name,
            "seconds": round(self.ended - self.began, 2),
            "longest_wait_seconds": round(self.longest_wait_seconds, 2),
            "locks": {
                table: {"mode": mode, "seconds": round(self.locked_seconds[table], 2)}
                for table, mode in sorted(self.locks.items())
            },
        }


def find_steps(said: str) -> list[Step]:
    """Return the migrations that the program printed."""
    lines = [json.loads(line) for line in said.splitlines() if line.startswith("{")]
    return [Step(line["migration"], line["began"], line["ended"]) for line in lines]


def add_locks(steps: Iterable[Step], seen: Iterable[tuple[float, float, str, str]], *, tables: set[str]) -> None:
    """Say of each step which tables were locked: (moment, seconds since the look before, table, mode) each.

    Only `tables` count, those that there were before: nobody waits for a new one.
    """
    steps = list(steps)
    for moment, seconds, table, mode in seen:
        step = next((each for each in steps if each.began <= moment <= each.ended), None)
        if step is None or table not in tables:
            continue
        former = step.locks.get(table, _MODES[0])
        step.locks[table] = max(former, mode, key=_MODES.index)
        step.locked_seconds[table] = step.locked_seconds.get(table, 0.0) + seconds


def add_waits(steps: Iterable[Step], writes: Iterable[tuple[float, float]]) -> None:
    """Say of each step how long the longest write took that went on while it ran: (began, ended) each."""
    steps = list(steps)
    for began, ended in writes:
        for step in steps:
            if began <= step.ended and ended >= step.began:
                step.longest_wait_seconds = max(step.longest_wait_seconds, ended - began)


def main() -> None:
    """Migrate, and print the steps."""
    import django

    django.setup()
    from django.core.management.commands.migrate import Command

    class TimedCommand(Command):
        began = 0.0

        def migration_progress_callback(self, action: str, migration: Any = None, fake: bool = False) -> None:
            if action == "apply_start":
                self.began = time.monotonic()
            elif action == "apply_success":
                line = {"migration": str(migration), "began": self.began, "ended": time.monotonic()}
                sys.stdout.write(json.dumps(line) + "\n")
                sys.stdout.flush()

    TimedCommand().run_from_argv(["manage.py", "migrate", "--no-input", "--verbosity", "0"])


if __name__ == "__main__":
    main()

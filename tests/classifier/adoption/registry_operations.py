"""Random changes of stages by eight threads: ``python -m tests.classifier.adoption.registry_operations``.

People ask, approve what others and what they themselves asked for, reject, withdraw and go back, by tags that are new
or stale; some of them write by SQL over what is decided. On PostgreSQL, or with ``--embedded`` on SQLite. A line of
``make proof``.
"""

import argparse
import json
import random
import sys
import threading
import time
from collections import Counter
from dataclasses import asdict, dataclass, field
from typing import Any

from tests.faults.own_database import running_alone

VERSIONS, PEOPLE = 12, 4
FORGERIES = (
    "UPDATE classifier_stagechange SET decision = 'rejected' WHERE id = %s AND decision <> 'open'",
    "UPDATE classifier_stagechange SET decided_by_id = requested_by_id WHERE id = %s AND decision <> 'open'",
    "UPDATE classifier_stagechange SET reason = 'another' WHERE id = %s",
    "DELETE FROM classifier_stagechange WHERE id = %s",
    "UPDATE classifier_stagechange SET decision = 'approved', rule = 'two', decided_by_id = requested_by_id, "
    "decided_at = requested_at WHERE id = %s AND decision = 'open'",
)


@dataclass
class Report:
    """What the operations did, by what became of them, and the invariants that were broken.

    `forged` are writes by SQL that the database let through, `changed` decided rows that are not what they were,
    `approved_by_requester` approvals of one's own, `not_adding_up` changes that do not follow from those before.
    """

    operations: int
    threads: int
    seed: int
    database: str
    outcomes: dict[str, int] = field(default_factory=dict)
    two_in_production: int = 0
    approved_by_requester: int = 0
    changed: int = 0
    forged: int = 0
    forgeries_tried: int = 0
    not_adding_up: int = 0
    failures: list[str] = field(default_factory=list)
    elapsed_seconds: float = 0.0

    def is_clean(self) -> bool:
        """Whether no invariant was broken."""
        broken = self.two_in_production, self.approved_by_requester, self.changed, self.forged, self.not_adding_up
        return not any(broken) and not self.failures


class Registry:
    """The versions, and the people who change their stages at once."""

    def __init__(self, report: Report) -> None:
        from django.contrib.auth.models import User

        from tests.support.fakes import create_model_version

        self.report = report
        self.people = [User.objects.create_user(f"person-{number}") for number in range(PEOPLE)]
        self.versions = [create_model_version(stage="candidate") for _ in range(VERSIONS)]
        self.left, self.lock = report.operations, threading.Lock()
        self.outcomes: Counter[str] = Counter()
        self.decided: dict[int, dict[str, Any]] = {}

    def work(self, seed: int) -> None:
        """Do one operation after the other until there were enough."""
        from django.db import Error, connection

        from classifier.adoption.services import StageError

        chance = random.Random(seed)
        while True:
            with self.lock:
                if self.left <= 0:
                    break
                self.left -= 1
            action = chance.choice((self.ask, self.ask, self.decide, self.decide, self.go_back, self.forge, self.watch))
            try:
                action(chance)
                outcome = "done"
            except StageError as error:
                outcome = type(error).__name__
            except Error as error:
                outcome = "busy" if "lock" in str(error) else "failed"
                if outcome == "failed":
                    self.report.failures.append(f"{action.__name__}: {error}")
            with self.lock:
                self.outcomes[f"{action.__name__}: {outcome}"] += 1
        connection.close()

    def ask(self, chance: random.Random) -> None:
        """Ask for a stage, by a gate that is met or is not, with a tag that is the present one or is not."""
        from classifier.adoption.gate import Examination
        from classifier.adoption.services import Asker, get_activation_tag, request_stage_change

        to = chance.choice(("production", "production", "production", "candidate", "preproduction", "rejected"))
        found = Examination(
            get_activation_tag() if chance.random() < 0.9 else "none",
            catalogue=(),
            problem="It may be worse." if chance.random() < 0.2 else "",
        )
        request_stage_change(
            chance.choice(self.versions),
            to=to,
            asker=Asker("api", chance.choice([*self.people, None])),
            reason=chance.choice(("", "So")),
            force=chance.random() < 0.3,
            examination=found if to == "production" else None,
        )

    def decide(self, chance: random.Random) -> None:
        """Decide about a request, as it was seen or as it is not."""
        from classifier.adoption import services
        from classifier.models import StageChange

        change = StageChange.objects.order_by("?").filter(decision="open").first() or StageChange.objects.first()
        if change is None:
            return
        decide = chance.choice(
            (
                services.approve_stage_change,
                services.approve_stage_change,
                services.approve_stage_change,
                services.reject_stage_change,
                services.withdraw_stage_change,
            )
        )
        tags = [change.tag] if chance.random() < 0.8 else ["stale"]
        decide(change, user=chance.choice(self.people), reason="So", expected_tags=tags)

    def go_back(self, chance: random.Random) -> None:
        """Go back to what was replaced."""
        from classifier.adoption.services import Asker, roll_back

        roll_back(reason="Wrong", asker=Asker("page", chance.choice(self.people)))

    def forge(self, chance: random.Random) -> None:
        """Write by SQL over a row, which the database has to refuse."""
        from django.db import Error, connection, transaction

        from classifier.models import StageChange

        ids = list(StageChange.objects.values_list("pk", flat=True)[:50])
        if not ids:
            return
        try:
            with transaction.atomic(), connection.cursor() as cursor:
                cursor.execute(chance.choice(FORGERIES), [chance.choice(ids)])
                count = cursor.rowcount
        except Error as error:
            if "lock" in str(error):
                raise
            count = -1
        with self.lock:
            self.report.forgeries_tried += count != 0
            self.report.forged += count > 0

    def watch(self, chance: random.Random) -> None:
        """Look whether there are two in production, and whether what was decided is as it was."""
        from classifier.models import ModelVersion, StageChange

        count = ModelVersion.objects.filter(stage="production").count()
        rows = StageChange.objects.exclude(decision="open").order_by("-pk").values()[:200]
        with self.lock:
            self.report.two_in_production += count > 1
            for row in rows:
                self.report.changed += self.decided.setdefault(row["id"], row) != row

    def judge(self) -> None:
        """Write into the report what does not add up at the end."""
        from classifier.models import ModelVersion, StageChange

        stages = {version.pk: "candidate" for version in self.versions}
        for change in StageChange.objects.filter(decision="approved").order_by("decided_at", "pk"):
            active = next((pk for pk, stage in stages.items() if stage == "production"), None)
            is_move = change.to_stage == "production"
            fits = stages[change.model_version_id] == change.from_stage
            fits = fits and change.replaced_id == (active if is_move else None)
            self.report.not_adding_up += not fits
            if is_move and active is not None:
                stages[active] = "retired"
            stages[change.model_version_id] = change.to_stage
            own = change.rule == "two" and change.decided_by_id in (None, change.requested_by_id)
            self.report.approved_by_requester += own or change.rule == "one"
        found = dict(ModelVersion.objects.values_list("pk", "stage"))
        self.report.not_adding_up += sum(found[pk] != stage for pk, stage in stages.items())
        kept = {row["id"]: row for row in StageChange.objects.values()}
        self.report.changed += sum(kept.get(pk) != row for pk, row in self.decided.items())
        self.report.outcomes = dict(sorted(self.outcomes.items()))


def run_operations(report: Report) -> None:
    """Let the threads work, and judge what they left."""
    from classifier.adoption import services

    # There are no files, nothing to compare and no worker.
    services.verify_version = lambda _version: None
    services.send_adoption_runs = lambda: 0
    registry, started = Registry(report), time.monotonic()
    threads = [
        threading.Thread(target=registry.work, args=(report.seed * 1000 + number,)) for number in range(report.threads)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    registry.judge()
    report.elapsed_seconds = round(time.monotonic() - started, 1)


def main() -> int:
    """Change stages at random by many at once, print the report, return 1 if an invariant was broken."""
    program = "python -m tests.classifier.adoption.registry_operations"
    parser = argparse.ArgumentParser(prog=program, description=main.__doc__)
    parser.add_argument("--operations", type=int, default=100_000, help="how many there are (%(default)s)")
    parser.add_argument("--threads", type=int, default=8, help="that do them at once (%(default)s)")
    parser.add_argument("--embedded", action="store_true", help="on SQLite instead of PostgreSQL")
    parser.add_argument("--seed", type=int, default=1, help="of every choice (%(default)s)")
    parser.add_argument("--json", action="store_true", help="print the report as one JSON document")
    arguments = parser.parse_args()
    with running_alone("registry", embedded=arguments.embedded):
        from django.conf import settings
        from django.db import connection

        settings.APPROVALS = "two"
        report = Report(arguments.operations, arguments.threads, arguments.seed, connection.vendor)
        run_operations(report)
        connection.close()
    lines = "\n".join(f"{name.replace('_', ' '):22} {value}" for name, value in asdict(report).items())
    sys.stdout.write(f"{json.dumps(asdict(report)) if arguments.json else lines}\n")
    return 0 if report.is_clean() else 1


if __name__ == "__main__":
    sys.exit(main())

"""The long form of the fault run: ``python -m tests.faults --labels 100000 --kills 100``, or ``make chaos``."""

import argparse
import json
import os
import shutil
import sys
import tempfile
from pathlib import Path

import django

LONGEST_SECONDS = 6 * 3600.0


def main() -> int:
    """Run it on servers of its own, print the report, return 1 if a label was lost, doubled, overwritten or blamed."""
    parser = argparse.ArgumentParser(prog="python -m tests.faults", description=main.__doc__)
    parser.add_argument("--labels", type=int, default=100_000, help="pictures to label (%(default)s)")
    parser.add_argument("--kills", type=int, default=100, help="workers to kill on the way (%(default)s)")
    parser.add_argument("--reviews", type=int, default=1000, help="labels that people give on the way (%(default)s)")
    parser.add_argument("--deletions", type=int, default=100, help="images to delete under a worker (%(default)s)")
    parser.add_argument("--store-away", type=float, default=25.0, help="seconds of each store fault (%(default)s)")
    parser.add_argument("--seed", type=int, default=1, help="of every choice (%(default)s)")
    parser.add_argument("--json", action="store_true", help="print the report as one JSON document")
    arguments = parser.parse_args()

    folder = Path(tempfile.mkdtemp(prefix="chaos-"))
    os.environ |= {
        "DJANGO_SETTINGS_MODULE": "config.settings.test",
        "VAR_DIR": str(folder / "var"),
        "SECRET_KEY": "only-for-tests-" + "x" * 50,
        "LOG_LEVEL": "WARNING",
    }
    from tests.faults.own_database import start_migrated_server
    from tests.support.servers import start_redis

    database = start_migrated_server()
    broker = start_redis(durable=True)
    os.environ |= {"DATABASE_URL": database.url, "REDIS_URL": broker.url}
    django.setup()
    from tests.faults.chaos import ChaosPlan, ChaosRun, create_pictures
    from tests.faults.workers import BATCH_LIMITS, Crew, Nursery

    nursery = Nursery(folder, redis_url=broker.url, limits=BATCH_LIMITS)
    try:
        create_pictures(arguments.labels)
        plan = ChaosPlan(
            labels=arguments.labels,
            kills=arguments.kills,
            reviews=arguments.reviews,
            deletions=arguments.deletions,
            store_away_seconds=arguments.store_away,
            seed=arguments.seed,
            patience_seconds=LONGEST_SECONDS,
        )
        report = ChaosRun(plan, crew=Crew(nursery, folder), broker=broker, database=database).execute()
    finally:
        nursery.stop()
        broker.stop()
        database.stop()
        shutil.rmtree(folder, ignore_errors=True)
    sys.stdout.write(json.dumps(report.to_json()) if arguments.json else report.to_text())
    sys.stdout.write("\n")
    return 0 if report.is_clean() else 1


if __name__ == "__main__":
    sys.exit(main())

"""What the ledger costs a label when it holds 10,000 rows and when it holds 1,000,000, in one run.

    python -m benchmarks.ledger [--small N] [--large N] [--labels N] [--watch-seconds N] [--json]

Two databases on one PostgreSQL server, half of whose pictures are labelled and half wait. Batches are sent, claimed and
finished on the one and the other in turn, so that whatever else the machine does weighs on both alike. Nothing is
fetched, decoded or classified: what is measured is what grows, if anything does. Then the large ledger's open run is
watched for a while, by its page, by the API and as a waiting command does: what that takes of the database's processor.
"""

import argparse
import hashlib
import json
import os
import shutil
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import django
import psutil
from rich.console import Console
from rich.table import Table

from benchmarks.machine import describe_machine, machine_lines
from benchmarks.usage import read_usage, seconds_used
from tests.support.servers import DURABLE_SETTINGS, start_postgresql

FLOOR_RATIO, GOAL_RATIO = 1.5, 1.1
#: The share of a core that watching a run may take of the database.
MOST_WATCHING: Final = 0.05
#: The pause of a page that is open, of a waiting command, and of a client that asks as often.
_WATCH_PAUSE: Final = 2.0
_LIBRARIES: Final = ("django", "psycopg2-binary")
_WARM_BATCHES: Final = 10

#: A catalogue of %(rows)s products with a picture each; the first half labelled by a run that is over, the second half
#: waiting in a run that is not.
_FILL: Final = (
    "INSERT INTO classifier_base (digest, name) VALUES (decode(repeat('0', 64), 'hex'), 'benchmark')",
    """INSERT INTO classifier_modelversion (base_id, name, folder, manifest_sha256, recipe, seed, metrics, stage)
       VALUES (1, 'benchmark', 'benchmark', repeat('0', 64), 'default', 0, '{}', 'production')""",
    """INSERT INTO classifier_labellingrun (model_version_id, state, relabel, total, created_at)
       SELECT 1, state, false, %(rows)s / 2, now() FROM unnest(ARRAY['done', 'running']) AS state""",
    "INSERT INTO product (id, title) SELECT n, 'Product ' || n FROM generate_series(1, %(rows)s) AS n",
    "INSERT INTO image (id, url) SELECT n, 'benchmark/' || n || '.png' FROM generate_series(1, %(rows)s) AS n",
    """INSERT INTO productimages (productid, imageid, imageindex)
       SELECT n, n, 0 FROM generate_series(1, %(rows)s) AS n""",
    """INSERT INTO classifier_labeltask
           (image_id, model_version_id, run_id, state, attempts, crashes, next_try_at, error_code)
       SELECT n, 1, CASE WHEN n <= %(rows)s / 2 THEN 1 ELSE 2 END,
              CASE WHEN n <= %(rows)s / 2 THEN 'done' ELSE 'new' END, 0, 0, now(), ''
       FROM generate_series(1, %(rows)s) AS n""",
    """INSERT INTO classifier_classification
           (image_id, model_version_id, run_id, sha256, "group", garment, confidence, abstained,
            garment_probabilities, created_at)
       SELECT n, 1, 1, repeat('0', 64), 'Bags', 'Bag', 0.9, false, '[0,0,0,0,0,0,0,0,1,0]', now()
       FROM generate_series(1, %(rows)s / 2) AS n""",
    """INSERT INTO classifier_picturefeatures (base_id, sha256, features, logits, blank, canonical, views)
       SELECT 1, sha256(n::text::bytea), decode(repeat('00', 128), 'hex'), decode(repeat('00', 20), 'hex'), false,
              false, 1
       FROM generate_series(1, %(rows)s / 2) AS n""",
    """INSERT INTO classifier_productlabel
           (product_id, image_id, "group", garment, confidence, status, source, model_version_id, classification_id,
            labelled_at)
       SELECT n, n, 'Bags', 'Bag', 0.9, 'labelled', 'machine', 1, c.id, now()
       FROM generate_series(1, %(rows)s / 2) AS n JOIN classifier_classification AS c ON c.image_id = n""",
    """INSERT INTO classifier_productlabel (product_id, image_id, "group", garment, status, source)
       SELECT n, n, '', '', 'pending', '' FROM generate_series(%(rows)s / 2 + 1, %(rows)s) AS n""",
    """INSERT INTO catalog_storedpicture
           (image_id, url, sha256, storage_name, etag, last_modified, width, height, fetched_at)
       SELECT id, url, repeat('0', 64), '', '', '', 60, 80, now() FROM image WHERE id <= %(rows)s / 2""",
    """INSERT INTO classifier_labelchange
           (product_id, why, old_group, old_garment, old_status, old_source, old_reason, new_group, new_garment,
            new_confidence, new_status, new_source, new_reason, new_version_id, version_name, sha256)
       SELECT n, 'classified', '', '', 'pending', '', '', 'Bags', 'Bag', 0.9, 'labelled', 'machine', '', 1, 'benchmark',
              decode(repeat('0', 64), 'hex')
       FROM generate_series(1, %(rows)s / 2) AS n""",
    "VACUUM ANALYZE",
)


@dataclass
class Ledger:
    """A database with a ledger of `rows` rows, Django's connection to it, and the seconds each batch took there."""

    rows: int
    connection: Any
    batch_seconds: list[float] = field(default_factory=list)
    labels: int = 0

    def seconds_per_label(self, batch_size: int) -> float:
        """Return the median over the batches: a pause of the machine is no property of the ledger."""
        return statistics.median(self.batch_seconds) / batch_size


@contextmanager
def running_ledgers(*sizes: int) -> Iterator[list[Ledger]]:
    """Run a PostgreSQL server with a filled database for each size while the block runs."""
    server = start_postgresql(server_settings={**DURABLE_SETTINGS, "shared_buffers": "128MB"})  # PostgreSQL's default
    folder = Path(tempfile.mkdtemp(prefix="benchmark-"))
    os.environ.update(
        DJANGO_SETTINGS_MODULE="config.settings.base", DATABASE_URL=server.url, VAR_DIR=str(folder), LOG_LEVEL="WARNING"
    )
    try:
        django.setup()
        yield [_fill_database(rows, number=number) for number, rows in enumerate(sizes)]
    finally:
        server.stop()
        shutil.rmtree(folder, ignore_errors=True)


def _fill_database(rows: int, *, number: int) -> Ledger:
    """Return a ledger of this size in a new database."""
    from django.core.management import call_command
    from django.db import connections

    name = f"ledger_{number}"
    with connections["default"].cursor() as cursor:
        cursor.execute(f"CREATE DATABASE {name}")
    connections["default"].close()
    connection = connections.create_connection("default")
    connection.settings_dict = {**connection.settings_dict, "NAME": name}
    _use(connection)
    call_command("migrate", verbosity=0)
    with connection.cursor() as cursor:
        for statement in _FILL:
            cursor.execute(statement, {"rows": rows} if "%(" in statement else None)
    return Ledger(rows=rows, connection=connection)


def _use(connection: Any) -> None:
    from django.db import connections

    connections["default"] = connection


def measure(ledgers: Sequence[Ledger], *, labels: int, progress: Callable[[int, int], None]) -> int:
    """Label `labels` pictures on each ledger, a batch on each in turn; return the number of pictures in a batch."""
    from django.conf import settings

    size = settings.LABELLING_BATCH_SIZE
    batches = max(1, labels // size)
    for number in range(_WARM_BATCHES + batches):
        for ledger in ledgers:
            _use(ledger.connection)
            started = time.perf_counter()
            finished = label_one_batch()
            if number >= _WARM_BATCHES:
                ledger.batch_seconds.append(time.perf_counter() - started)
                ledger.labels += finished
        progress(number + 1, _WARM_BATCHES + batches)
    return int(size)


def label_one_batch() -> int:
    """Send, claim and finish one batch, as a worker does around its work; return how many labels were written."""
    from django.utils import timezone

    from catalog.models import StoredPicture
    from classifier.labelling.ledger import Labelled, claim_tasks, finish_tasks, take_batches_to_send
    from classifier.ml.labels import GARMENTS, GROUP_OF_GARMENT, GROUPS
    from classifier.ml.types import Features, Prediction

    prediction = Prediction(
        group=GROUP_OF_GARMENT[GARMENTS[0]],
        garment=GARMENTS[0],
        confidence=1.0,
        abstained=False,
        group_probabilities=dict.fromkeys(GROUPS, 0.2),
        garment_probabilities=dict.fromkeys(GARMENTS, 0.1),
        features=Features(numbers=bytes(128), logits=bytes(20), blank=False, canonical=False, views=1),
    )
    (ids,) = take_batches_to_send(maximum=1, lost_after_seconds=3600.0)
    batch = claim_tasks(ids)
    pictures = [
        StoredPicture(
            image=task.image,
            url=task.image.url,
            sha256=hashlib.sha256(task.image.url.encode()).hexdigest(),
            storage_name="",
            width=60,
            height=80,
            fetched_at=timezone.now(),
        )
        for task in batch.tasks
    ]
    return finish_tasks(batch, [Labelled(picture=picture, prediction=prediction) for picture in pictures])


def measure_watching(ledger: Ledger, *, seconds: float) -> dict[str, Any]:
    """Watch the ledger's open run for so long; return its tasks and what share of a core the database was busy."""
    from django.contrib.auth import get_user_model
    from django.test import Client

    from classifier.labelling.reports import get_run_report
    from classifier.models import LabellingRun

    _use(ledger.connection)
    run = LabellingRun.objects.get(state=LabellingRun.State.RUNNING)
    client = Client(SERVER_NAME="127.0.0.1")
    client.force_login(get_user_model().objects.create_superuser("watcher"))
    with ledger.connection.cursor() as cursor:
        cursor.execute("SELECT pg_backend_pid()")
        server = psutil.Process(cursor.fetchone()[0]).ppid()
    before, looks = read_usage({"database": server}), 0
    while time.perf_counter() < before.at + seconds:
        for address in (f"/labelling-runs/{run.pk}/", f"/api/v1/labelling-runs/{run.pk}/"):
            response = client.get(address)
            if response.status_code != 200:
                raise RuntimeError(f"expected {address} to answer 200, received {response.status_code}")
        get_run_report(run)
        looks += 1
        time.sleep(_WATCH_PAUSE)
    after = read_usage({"database": server})
    share = seconds_used(before, after)["database"] / (after.at - before.at)
    return {"tasks": run.tasks.count(), "ledger_rows": ledger.rows, "looks": looks, "database_share": share}


def build_result(ledgers: Sequence[Ledger], *, batch_size: int) -> dict[str, Any]:
    """Return the measurement as plain JSON; `ratio` is the last ledger's time for a label against the first's."""
    rows = [
        {
            "rows": ledger.rows,
            "labels": ledger.labels,
            "milliseconds_a_label": 1000 * ledger.seconds_per_label(batch_size),
        }
        for ledger in ledgers
    ]
    ratio = rows[-1]["milliseconds_a_label"] / rows[0]["milliseconds_a_label"]
    return {"ledgers": rows, "ratio": ratio, "floor": FLOOR_RATIO, "goal": GOAL_RATIO}


def print_result(result: dict[str, Any], *, console: Console) -> None:
    """Print the measurement as a table."""
    table = Table(box=None, pad_edge=False, header_style="bold", title="What the ledger costs a label")
    for heading in ("rows", "labels", "ms a label"):
        table.add_column(heading, justify="right")
    for row in result["ledgers"]:
        table.add_row(f"{row['rows']:,}", f"{row['labels']:,}", f"{row['milliseconds_a_label']:.3f}")
    console.print(table)
    console.print(f"{result['ratio']:.2f} times (floor {FLOOR_RATIO}, goal {GOAL_RATIO})")
    if watching := result.get("watching"):
        console.print(
            f"Watching a run of {watching['tasks']:,} tasks, {watching['looks']} looks by page, API and command: "
            f"{watching['database_share']:.1%} of a core in the database (at most {MOST_WATCHING:.0%})"
        )
    for line in machine_lines(result["machine"]):
        console.print(line)


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure and print; return the exit status."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.ledger", description=__doc__.partition("\n")[0])
    parser.add_argument("--small", type=int, default=10_000, metavar="N", help="rows of the small ledger (%(default)s)")
    parser.add_argument("--large", type=int, default=1_000_000, metavar="N", help="of the large one (%(default)s)")
    parser.add_argument("--labels", type=int, default=3200, metavar="N", help="labels on each (%(default)s)")
    parser.add_argument("--watch-seconds", type=float, default=60.0, metavar="N", help="0 watches not (%(default)s)")
    parser.add_argument("--json", action="store_true", help="print the result as one JSON document")
    options = parser.parse_args(arguments)
    if (options.labels + 32 * (_WARM_BATCHES + 1)) * 2 > options.small:
        parser.error(f"expected a small ledger with twice the labels waiting, received --small {options.small}")
    machine = describe_machine(_LIBRARIES)
    with running_ledgers(options.small, options.large) as ledgers:
        from config.console import ProgressReport

        with ProgressReport(sys.stderr, title="Labelling", unit="batches") as report:
            batch_size = measure(ledgers, labels=options.labels, progress=report.update)
        result = {"machine": machine, **build_result(ledgers, batch_size=batch_size)}
        if options.watch_seconds:
            result["watching"] = measure_watching(ledgers[-1], seconds=options.watch_seconds)
    if options.json:
        sys.stdout.write(json.dumps(result) + "\n")
    else:
        print_result(result, console=Console(highlight=False, width=100))
    return 0


if __name__ == "__main__":
    sys.exit(main())

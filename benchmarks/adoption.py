"""How long going back to an earlier version takes, and what the history of labels weighs.

    python -m benchmarks.adoption [--products N] [--json]

A catalogue whose pictures two versions classified, the second of which is in production and says something else of
each. The first is activated, and the adoption is done as a worker does it, step by step in one process. Nothing is
fetched or inferred: the classifier cannot even be loaded here. Afterwards every label is compared with what the first
version said.
"""

import argparse
import json
import os
import shutil
import sys
import tempfile
import time
from pathlib import Path
from typing import Any, Final
from unittest import mock

import django
from rich.console import Console
from rich.table import Table

from benchmarks.machine import describe_machine, machine_lines
from tests.support.servers import DURABLE_SETTINGS, start_postgresql

FLOOR_SECONDS, GOAL_SECONDS = 300.0, 60.0
FLOOR_BYTES, GOAL_BYTES = 400_000_000, 250_000_000
# A twentieth of an hour: once round in an hour, with 5 % of a core.
WALK_SECONDS = 180.0
_LIBRARIES: Final = ("django", "psycopg2-binary")

_FILL: Final = (
    "INSERT INTO classifier_base (digest, name) VALUES (decode(repeat('0', 64), 'hex'), 'benchmark')",
    """INSERT INTO classifier_modelversion
           (base_id, name, folder, manifest_sha256, recipe, seed, metrics, stage, created_at, activated_at,
            first_activated_at)
       SELECT 1, 'default-20260101-' || repeat(n::text, 8), 'v' || n, repeat(n::text, 64), 'default', 0, '{}', stage,
              now(), now() - (3 - n) * interval '1 day', now() - (3 - n) * interval '1 day'
       FROM (VALUES (1, 'retired'), (2, 'production')) AS version (n, stage)""",
    """INSERT INTO classifier_labellingrun (model_version_id, state, relabel, created_at)
       SELECT id, 'done', false, now() FROM classifier_modelversion ORDER BY id""",
    "INSERT INTO product (id, title) SELECT n, 'Product ' || n FROM generate_series(1, %(products)s) AS n",
    "INSERT INTO image (id, url) SELECT n, 'benchmark/' || n || '.png' FROM generate_series(1, %(products)s) AS n",
    "INSERT INTO productimages (productid, imageid, imageindex) SELECT id, id, 0 FROM product",
    """INSERT INTO catalog_storedpicture
           (image_id, url, sha256, storage_name, etag, last_modified, width, height, fetched_at)
       SELECT id, url, encode(sha256(url::bytea), 'hex'), url, '', '', 60, 80, now() FROM image""",
    """INSERT INTO classifier_classification
           (image_id, model_version_id, run_id, sha256, "group", garment, confidence, abstained,
            garment_probabilities, created_at)
       SELECT picture.image_id, version, version, sha256, CASE version WHEN 1 THEN 'Bags' ELSE 'Footwear' END,
              CASE version WHEN 1 THEN 'Bag' ELSE 'Sandal' END, 0.5 + (picture.image_id % 500) / 1000.0,
              picture.image_id % 20 = 0, '[0,0,0,0,0,0,0,0,1,0]', now()
       FROM catalog_storedpicture AS picture CROSS JOIN generate_series(1, 2) AS version""",
    """INSERT INTO classifier_productlabel
           (product_id, image_id, "group", garment, confidence, status, source, reason, model_version_id,
            classification_id, labelled_at)
       SELECT image_id, image_id, "group", garment, confidence, CASE WHEN abstained THEN 'needs_review' ELSE 'labelled'
              END, 'machine', CASE WHEN abstained THEN 'unsure' ELSE '' END, 2, id, created_at
       FROM classifier_classification WHERE model_version_id = 2""",
    "VACUUM ANALYZE",
)
_WRONG: Final = """
    SELECT count(*) FROM classifier_productlabel AS label LEFT JOIN classifier_classification AS said
    ON said.image_id = label.image_id AND said.model_version_id = 1
    WHERE said.id IS NULL OR (label."group", label.garment, label.confidence, label.classification_id)
          IS DISTINCT FROM (said."group", said.garment, said.confidence, said.id)"""


def measure(products: int, *, report: Any) -> dict[str, Any]:
    """Return what the adoption of the first version took over so many products; see `print_result`."""
    from django.db import connection

    from classifier.adoption import services
    from classifier.adoption.runs import adopt_next_step
    from classifier.labels.walk import refresh_all_labels
    from classifier.models import AdoptionRun, LabelTask, ModelVersion

    report("filling the tables")
    with connection.cursor() as cursor:
        for statement in _FILL:
            cursor.execute(statement, {"products": products} if "%(" in statement else None)
    report("going back to the first version")
    started, cpu = time.perf_counter(), time.process_time()
    with mock.patch.object(services, "verify_version"), mock.patch.object(services, "send_adoption_runs"):
        services.activate_model_version(ModelVersion.objects.get(pk=1))
    run = AdoptionRun.objects.get()
    while adopt_next_step(run.pk):
        pass
    seconds, cpu_seconds = time.perf_counter() - started, time.process_time() - cpu
    run.refresh_from_db()
    with connection.cursor() as cursor:
        cursor.execute(_WRONG)
        wrong = cursor.fetchone()[0]
        cursor.execute("SELECT count(*), pg_total_relation_size('classifier_labelchange') FROM classifier_labelchange")
        changes, size = cursor.fetchone()
    report("looking at every label")
    walk_started, walk_cpu = time.perf_counter(), time.process_time()
    looked_at, stale = refresh_all_labels(dry_run=True)
    walk_seconds, walk_cpu = time.perf_counter() - walk_started, time.process_time() - walk_cpu
    if (looked_at, stale) != (products, 0):
        raise RuntimeError(f"expected every label to be right, found {stale} of {looked_at} that are not")
    return {
        "products": products,
        "seconds": seconds,
        "process_seconds": cpu_seconds,
        "changed": run.changed,
        "missing": run.missing,
        "labels_unlike_the_version": wrong,
        "inference_calls": LabelTask.objects.count(),
        "history_bytes_a_million": round(size / changes * 1_000_000),
        "walk_seconds_a_million": walk_seconds / products * 1_000_000,
        "walk_process_seconds_a_million": walk_cpu / products * 1_000_000,
        "floor_seconds": FLOOR_SECONDS,
        "goal_seconds": GOAL_SECONDS,
    }


def print_result(result: dict[str, Any], *, console: Console) -> None:
    """Print the measurement as a table."""
    table = Table(box=None, pad_edge=False, header_style="bold", title="Going back to an earlier version")
    for heading in ("", "measured", "floor", "goal"):
        table.add_column(heading, justify="left" if not heading else "right")
    table.add_row(
        f"{result['products']:,} products, seconds",
        f"{result['seconds']:.1f}",
        f"{FLOOR_SECONDS:.0f}",
        f"{GOAL_SECONDS:.0f}",
    )
    table.add_row("labels unlike what the version said", f"{result['labels_unlike_the_version']:,}", "0", "0")
    table.add_row("pictures that went on a run", f"{result['inference_calls']:,}", "0", "0")
    table.add_row(
        "history, MB for a million changes",
        f"{result['history_bytes_a_million'] / 1e6:.0f}",
        f"{FLOOR_BYTES / 1e6:.0f}",
        f"{GOAL_BYTES / 1e6:.0f}",
    )
    table.add_row(
        "walk over a million right labels, seconds of this process",
        f"{result['walk_process_seconds_a_million']:.0f}",
        f"{WALK_SECONDS:.0f}",
        f"{WALK_SECONDS:.0f}",
    )
    console.print(table)


def main() -> None:
    """Run the benchmark of the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--products", type=int, default=100_000)
    parser.add_argument("--json", action="store_true", help="print the result as one JSON document")
    arguments = parser.parse_args()
    machine = describe_machine(_LIBRARIES)
    errors = Console(stderr=True)
    server = start_postgresql(server_settings=DURABLE_SETTINGS)
    folder = Path(tempfile.mkdtemp(prefix="benchmark-"))
    os.environ.update(
        DJANGO_SETTINGS_MODULE="config.settings.base", DATABASE_URL=server.url, VAR_DIR=str(folder), LOG_LEVEL="WARNING"
    )
    try:
        django.setup()
        from django.core.management import call_command

        call_command("migrate", verbosity=0)
        result = measure(arguments.products, report=lambda text: errors.print(f"{text} ..."))
    finally:
        server.stop()
        shutil.rmtree(folder, ignore_errors=True)
    if arguments.json:
        sys.stdout.write(json.dumps({"machine": machine, **result}) + "\n")
        return
    console = Console(highlight=False, width=100)
    print_result(result, console=console)
    for line in machine_lines(machine):
        console.print(line)


if __name__ == "__main__":
    main()

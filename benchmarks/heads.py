"""How long a version that only has other heads takes to label pictures whose features are known.

    python -m benchmarks.heads [--products N] [--json]

A catalogue whose pictures one version labelled. Another one on the same base is activated, and what a worker does then
is done here, step by step in one process: labels are decided anew, and a labelling run labels every picture from its
features. Nothing is fetched, decoded or inferred. Afterwards labels, classifications and history are counted.
"""

import argparse
import io
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
import numpy as np
from rich.console import Console
from rich.table import Table

from benchmarks.machine import describe_machine, machine_lines
from tests.support.servers import DURABLE_SETTINGS, start_postgresql

# For a million pictures.
FLOOR_SECONDS, GOAL_SECONDS = 900.0, 240.0
_LIBRARIES: Final = ("django", "numpy", "psycopg2-binary")
_ROWS_AT_ONCE: Final = 20_000

_FILL: Final = (
    "INSERT INTO classifier_base (digest, name) VALUES (decode(repeat('0', 64), 'hex'), 'benchmark')",
    """INSERT INTO classifier_modelversion
           (base_id, name, folder, manifest_sha256, recipe, seed, metrics, stage, activated_at, first_activated_at)
       SELECT 1, 'default-20260101-' || repeat(n::text, 8), 'v' || n, repeat(n::text, 64), 'default', 0, '{}', stage,
              activated_at, activated_at
       FROM (VALUES (1, 'production', now()), (2, 'candidate', NULL)) AS version (n, stage, activated_at)""",
    "INSERT INTO classifier_labellingrun (model_version_id, state, relabel) VALUES (1, 'done', false)",
    "INSERT INTO product (id, title) SELECT n, 'Product ' || n FROM generate_series(1, %(products)s) AS n",
    "INSERT INTO image (id, url) SELECT n, 'benchmark/' || n || '.png' FROM generate_series(1, %(products)s) AS n",
    "INSERT INTO productimages (productid, imageid, imageindex) SELECT id, id, 0 FROM product",
    """INSERT INTO catalog_storedpicture
           (image_id, url, sha256, storage_name, etag, last_modified, width, height, fetched_at)
       SELECT id, url, encode(sha256(id::text::bytea), 'hex'), url, '', '', 60, 80, now() FROM image""",
    """INSERT INTO classifier_labeltask
           (image_id, model_version_id, run_id, state, attempts, crashes, next_try_at, error_code)
       SELECT id, 1, 1, 'done', 1, 0, now(), '' FROM image""",
    """INSERT INTO classifier_classification
           (image_id, model_version_id, run_id, sha256, "group", garment, confidence, abstained, garment_probabilities)
       SELECT image_id, 1, 1, sha256, 'Bags', 'Bag', 0.5 + (image_id % 500) / 1000.0, image_id % 20 = 0,
              '[0,0,0,0,0,0,0,0,1,0]'
       FROM catalog_storedpicture""",
    """INSERT INTO classifier_productlabel
           (product_id, image_id, "group", garment, confidence, status, source, reason, model_version_id,
            classification_id, labelled_at)
       SELECT image_id, image_id, "group", garment, confidence, CASE WHEN abstained THEN 'needs_review' ELSE 'labelled'
              END, 'machine', CASE WHEN abstained THEN 'unsure' ELSE '' END, 1, id, created_at
       FROM classifier_classification""",
)
_WRONG: Final = """
    SELECT count(*) FROM classifier_productlabel AS label LEFT JOIN classifier_classification AS said
    ON said.image_id = label.image_id AND said.model_version_id = 2
    WHERE said.id IS NULL OR (label."group", label.garment, label.confidence, label.classification_id)
          IS DISTINCT FROM (said."group", said.garment, said.confidence, said.id)"""


def fill(products: int) -> None:
    """Write the catalogue, and features of each picture with random logits."""
    from hashlib import sha256

    from django.db import connection

    generator = np.random.default_rng(0)
    with connection.cursor() as cursor:
        for statement in _FILL:
            cursor.execute(statement, {"products": products} if "%(" in statement else None)
        for start in range(1, products + 1, _ROWS_AT_ONCE):
            ids = range(start, min(start + _ROWS_AT_ONCE, products + 1))
            features = generator.standard_normal((len(ids), 64)).astype("<f2")
            logits = (3 * generator.standard_normal((len(ids), 10))).astype("<f2")
            rows = (
                f"1\t\\\\x{sha256(str(id).encode()).hexdigest()}\t\\\\x{numbers.tobytes().hex()}\t"
                f"\\\\x{ten.tobytes().hex()}\tf\tf\t1\n"
                for id, numbers, ten in zip(ids, features, logits, strict=True)
            )
            cursor.copy_expert(
                """COPY classifier_picturefeatures (base_id, sha256, features, logits, blank, canonical, views)
                   FROM STDIN""",
                io.StringIO("".join(rows)),
            )
        cursor.execute("VACUUM ANALYZE")


def measure(products: int, *, report: Any) -> dict[str, Any]:
    """Return what the other version took over so many products; see `print_result`."""
    from django.db import connection

    from classifier.adoption import services
    from classifier.adoption.runs import adopt_next_step
    from classifier.labelling import classifications, starting
    from classifier.labelling.runs import take_next_step
    from classifier.ml.artefacts import DEFAULT_ARTEFACT, verify_artefact
    from classifier.ml.heads import read_heads
    from classifier.models import AdoptionRun, LabelTask, ModelVersion

    report("filling the tables")
    fill(products)
    tasks = LabelTask.objects.count()
    heads = read_heads(verify_artefact(DEFAULT_ARTEFACT))
    report("activating the other version")
    started, cpu = time.perf_counter(), time.process_time()
    with (
        mock.patch.object(services, "verify_version"),
        mock.patch.object(services, "send_adoption_runs"),
        mock.patch.object(starting, "_send_run"),
        mock.patch.object(classifications, "find_heads", return_value=heads),
    ):
        services.activate_model_version(ModelVersion.objects.get(pk=2))
        adoption = AdoptionRun.objects.get()
        while adopt_next_step(adoption.pk):
            pass
        adoption.refresh_from_db()
        decided = time.perf_counter() - started
        report("labelling from features")
        run = adoption.labelling_run
        if run is None:
            raise RuntimeError("expected a labelling run of the activated version")
        while take_next_step(run.pk):
            pass
    seconds, cpu_seconds = time.perf_counter() - started, time.process_time() - cpu
    run.refresh_from_db()
    with connection.cursor() as cursor:
        cursor.execute(_WRONG)
        wrong = cursor.fetchone()[0]
        cursor.execute("SELECT count(*) FROM classifier_labelchange")
        changes = cursor.fetchone()[0]
    return {
        "products": products,
        "seconds": seconds,
        "seconds_deciding_anew": decided,
        "process_seconds": cpu_seconds,
        "seconds_a_million": seconds / products * 1_000_000,
        "state": run.state,
        "labelled_from_features": run.from_features,
        "new_tasks": LabelTask.objects.count() - tasks,
        "changes": changes,
        "labels_unlike_the_version": wrong,
        "floor_seconds_a_million": FLOOR_SECONDS,
        "goal_seconds_a_million": GOAL_SECONDS,
    }


def print_result(result: dict[str, Any], *, console: Console) -> None:
    """Print the measurement as a table."""
    table = Table(box=None, pad_edge=False, header_style="bold", title="A version with other heads")
    for heading in ("", "measured", "floor", "goal"):
        table.add_column(heading, justify="left" if not heading else "right")
    table.add_row(f"{result['products']:,} products, seconds", f"{result['seconds']:.1f}", "", "")
    table.add_row("of them deciding labels anew", f"{result['seconds_deciding_anew']:.1f}", "", "")
    table.add_row(
        "a million, seconds",
        f"{result['seconds_a_million']:.0f}",
        f"{FLOOR_SECONDS:.0f}",
        f"{GOAL_SECONDS:.0f}",
    )
    table.add_row("labels unlike what the version said", f"{result['labels_unlike_the_version']:,}", "0", "0")
    table.add_row("pictures that became tasks", f"{result['new_tasks']:,}", "0", "0")
    table.add_row("changes in the history", f"{result['changes']:,}", "", "")
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

"""How long the migrations since the last release take, and how long they keep writers waiting.

    python -m benchmarks.upgrade [--products N] [--from MIGRATION ...] [--json]

A catalogue on the tables of the last release: a picture and a text for each product, nineteen of twenty products
labelled. While it is migrated another process writes as the site does: a title, a label, a new product with its image.
With `--from` these are migrated to first, unmeasured: `--from catalog.0016 --from classifier.0043` measures what came
later.
"""

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any, Final

import django
import psycopg2
from rich.console import Console

from benchmarks.catalogue_site import SERVER_SETTINGS
from benchmarks.machine import describe_machine, machine_lines
from benchmarks.upgrade_steps import APPLICATION, LOCKS, add_locks, add_waits, find_steps
from tests.support.servers import start_postgresql

RELEASED: Final = (("catalog", "0003"), ("classifier", "0008"))
_LIBRARIES: Final = ("django", "psycopg2-binary")
_REPOSITORY: Final = Path(__file__).resolve().parents[1]

_FILL: Final = (
    """INSERT INTO classifier_modelversion
           (id, name, folder, manifest_sha256, recipe, seed, metrics, stage, created_at, activated_at)
       VALUES (1, 'default-20260101-1', 'v1', repeat('1', 64), 'default', 0, '{}', 'active', now(), now())""",
    """INSERT INTO classifier_labellingrun
           (id, model_version_id, state, relabel, total, taken_until, takes_until, closing, created_at)
       VALUES (1, 1, 'done', false, 0, 0, 0, false, now())""",
    "INSERT INTO product (id, title) SELECT n, 'Product ' || n FROM generate_series(1, %(products)s) AS n",
    "INSERT INTO image (id, url) SELECT n, 'benchmark/' || n || '.png' FROM generate_series(1, %(products)s) AS n",
    "INSERT INTO productimages (productid, imageid, imageindex) SELECT id, id, 0 FROM product",
    """INSERT INTO productdescription (productid, countrycode, originaltext, translatedtext)
       SELECT id, 'us', 'Product ' || id, '' FROM product""",
    """INSERT INTO catalog_storedpicture
           (image_id, sha256, storage_name, etag, last_modified, width, height, fetched_at)
       SELECT id, encode(sha256(url::bytea), 'hex'), url, '', '', 60, 80, now() FROM image WHERE id %% 20 > 0""",
    """INSERT INTO classifier_labeltask
           (image_id, model_version_id, run_id, state, attempts, crashes, next_try_at, error_code)
       SELECT image_id, 1, 1, 'done', 1, 0, now(), '' FROM catalog_storedpicture""",
    """INSERT INTO classifier_classification
           (image_id, model_version_id, run_id, sha256, "group", garment, confidence, abstained,
            garment_probabilities, embedding, created_at)
       SELECT image_id, 1, 1, sha256, 'Bags', 'Bag', 0.9, false, '[0,0,0,0,0,0,0,0,1,0]',
              decode(repeat('00', 256), 'hex'), now()
       FROM catalog_storedpicture""",
    """INSERT INTO classifier_productlabel
           (product_id, image_id, "group", garment, confidence, status, source, model_version_id, classification_id,
            labelled_at)
       SELECT image_id, image_id, "group", garment, confidence, 'labelled', 'machine', 1, id, created_at
       FROM classifier_classification""",
    """SELECT setval(pg_get_serial_sequence(name, 'id'), %(products)s)
       FROM (VALUES ('product'), ('image')) AS given (name)""",
    "ANALYZE",
)
_WRITES: Final = (
    "UPDATE product SET title = title || '.' WHERE id = 1 + (random() * (%(products)s - 1))::int",
    """UPDATE classifier_productlabel SET confidence = confidence
       WHERE product_id = 1 + (random() * (%(products)s - 1))::int""",
    "INSERT INTO product (title) VALUES ('new')",
    "INSERT INTO image (url) VALUES ('new/' || clock_timestamp() || random())",
)


def migrate(*arguments: str) -> subprocess.Popen[str]:
    """Start `manage.py migrate` and return its process."""
    return _start("manage.py", "migrate", "--no-input", *arguments)


def _start(*arguments: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, *arguments],
        cwd=_REPOSITORY,
        env=os.environ | {"PGAPPNAME": APPLICATION},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def finish(process: subprocess.Popen[str]) -> str:
    """Wait for a migration and return what it said; raises RuntimeError with that unless it was done."""
    said, _ = process.communicate()
    if process.returncode:
        raise RuntimeError(f"the migration ended with {process.returncode}: {said}")
    return said


def measure(url: str, *, products: int, begin: Sequence[tuple[str, str]] = ()) -> dict[str, Any]:
    """Return the seconds of the migration, the writes beside it, the longest that each kind waited, and the steps."""
    for target in RELEASED:
        finish(migrate(*target))
    writer = psycopg2.connect(url)
    writer.autocommit = True  # one transaction would check millions of foreign keys at its end
    with writer.cursor() as cursor:
        for statement in _FILL:
            cursor.execute(statement, {"products": products})
    for target in begin:
        finish(migrate(*target))
    with writer.cursor() as cursor:
        cursor.execute("SELECT relname FROM pg_class WHERE relkind = 'r'")
        tables = {name for (name,) in cursor.fetchall()}
    sys.stderr.write("The catalogue stands; migrating.\n")
    waited, writes, started = dict.fromkeys(_WRITES, 0.0), [], time.monotonic()
    process = _start("-m", "benchmarks.upgrade_steps")
    try:
        with watching_locks(url) as seen, writer.cursor() as cursor:
            while process.poll() is None:
                for statement in _WRITES:
                    before = time.monotonic()
                    cursor.execute(statement, {"products": products})
                    writes.append((before, time.monotonic()))
                    waited[statement] = max(waited[statement], writes[-1][1] - before)
                time.sleep(0.01)
    finally:
        said = finish(process)
        writer.close()
    steps = find_steps(said)
    add_locks(steps, seen, tables=tables)
    add_waits(steps, writes)
    return {
        "products": products,
        "seconds": time.monotonic() - started,
        "writes": len(writes),
        "longest_wait_seconds": max(waited.values()),
        "waits": {" ".join(statement.split()[:3]): seconds for statement, seconds in waited.items()},
        "migrations": [step.to_json() for step in steps],
    }


@contextmanager
def watching_locks(url: str) -> Iterator[list[tuple[float, float, str, str]]]:
    """Give a list of what the migration locks, which grows while the block runs; see `add_locks`."""
    seen: list[tuple[float, float, str, str]] = []
    over = threading.Event()

    def watch() -> None:
        with closing(psycopg2.connect(url)) as database, database.cursor() as cursor:
            database.autocommit = True
            before = time.monotonic()
            while not over.wait(0.02):
                cursor.execute(LOCKS)
                now = time.monotonic()
                seen.extend((now, now - before, table, mode) for table, mode in cursor.fetchall())
                before = now

    thread = threading.Thread(target=watch)
    thread.start()
    try:
        yield seen
    finally:
        over.set()
        thread.join()


def parse_arguments(arguments: Sequence[str] | None = None) -> argparse.Namespace:
    """Return the options; `begin` are (app, number) of the migrations before those that are measured."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.upgrade", description=__doc__.partition("\n")[0])
    parser.add_argument("--products", type=int, default=1_000_000, metavar="N", help="products (%(default)s)")
    parser.add_argument(
        "--from",
        dest="begin",
        action="append",
        default=[],
        type=lambda text: tuple(text.split(".", 1)),
        metavar="MIGRATION",
        help="app.number to migrate to before anything is measured; may be repeated",
    )
    parser.add_argument("--json", action="store_true", help="print the result as one JSON document")
    return parser.parse_args(arguments)


def main() -> int:
    """Measure and print; return the exit status."""
    options = parse_arguments()
    machine, folder = describe_machine(_LIBRARIES), Path(tempfile.mkdtemp(prefix="benchmark-"))
    server = start_postgresql(server_settings=SERVER_SETTINGS)
    os.environ.update(DJANGO_SETTINGS_MODULE="config.settings.base", VAR_DIR=str(folder), DATABASE_URL=server.url)
    try:
        django.setup()
        from django.db import connection

        result = measure(_list_dsn(connection.get_connection_params()), products=options.products, begin=options.begin)
    finally:
        server.stop()
        shutil.rmtree(folder, ignore_errors=True)
    if options.json:
        sys.stdout.write(json.dumps({"machine": machine, **result}) + "\n")
        return 0
    console = Console(highlight=False, width=120)
    console.print(f"{options.products:,} products, migrated in {result['seconds']:.1f} s")
    console.print(
        f"{result['writes']:,} writes beside it waited {result['longest_wait_seconds']:.2f} s at most, floor 5:"
    )
    for name, seconds in result["waits"].items():
        console.print(f"  {name:<40} {seconds:6.2f} s")
    for step in result["migrations"]:
        held = (f"{table} {lock['mode']} {lock['seconds']:.2f} s" for table, lock in step["locks"].items())
        waits = f"writers waited {step['longest_wait_seconds']:.2f} s"
        console.print(f"{step['migration']}: {step['seconds']:.2f} s, {waits}; {', '.join(held) or 'locks nothing'}")
    for line in machine_lines(machine):
        console.print(line)
    return 0


def _list_dsn(parameters: dict[str, Any]) -> str:
    return " ".join(f"{name}={parameters[name]}" for name in ("host", "user", "dbname") if parameters.get(name))


if __name__ == "__main__":
    sys.exit(main())

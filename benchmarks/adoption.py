"""How long going back to an earlier version takes, and what the history of labels weighs.

    python -m benchmarks.adoption [--products N] [--visits-per-second N] [--json]

A catalogue whose pictures two versions classified, the second of which is in production and says something else of
each. The first is activated, and the adoption is done as a worker does it, step by step in one process, while a site
on the same database answers visitors. Nothing is fetched or inferred: the classifier cannot even be loaded here.
Afterwards every label is compared with what the first version said.
"""

import argparse
import math
import os
import random
import time
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from pathlib import Path
from typing import Any, Final
from unittest import mock

from rich.console import Console
from rich.table import Table

from benchmarks.catalogue_requests import percentile, send_at_rate, visiting
from benchmarks.catalogue_site import running_site
from benchmarks.classified_rows import count_labels_unlike, fill_classified
from benchmarks.environment import run_on_database

#: Of a million products.
FLOOR_SECONDS, GOAL_SECONDS = 900.0, 300.0
FLOOR_MILLISECONDS, GOAL_MILLISECONDS = 500.0, 100.0
FLOOR_BYTES, GOAL_BYTES = 400_000_000, 250_000_000
# A twentieth of an hour: once round in an hour, with 5 % of a core.
WALK_SECONDS = 180.0
_LIBRARIES: Final = ("django", "psycopg2-binary")


def list_paths(products: int) -> Iterator[str]:
    """Yield what visitors ask for: lists of products by their labels, and products all over the catalogue."""
    chance = random.Random(1)  # noqa: S311  (it chooses addresses)
    for _ in range(1_000):
        group = chance.choice(("Bags", "Footwear"))
        yield f"/products/?group={group}"
        yield f"/api/v1/products/?group={group}&page_size=50"
        yield f"/products/{chance.randint(1, products)}/"
        yield f"/api/v1/products/{chance.randint(1, products)}/"


@contextmanager
def visiting_site(products: int, *, per_second: float) -> Iterator[list[float]]:
    """Run the site, and visit it while the block runs; the list has the seconds of each answer behind it."""
    paths = list(list_paths(products))
    with running_site(Path(os.environ["VAR_DIR"])) as address:
        # Each process of the site loads what it needs.
        send_at_rate(address, paths[: math.ceil(4 * per_second)], per_second=per_second)
        with visiting(address, paths, per_second=per_second) as answers:
            yield answers


def measure(products: int, *, visits: float, report: Any) -> dict[str, Any]:
    """Return what the adoption of the first version took over so many products; see `print_result`."""
    from django.db import connection

    from classifier.adoption import services
    from classifier.adoption.runs import adopt_next_step
    from classifier.labels.walk import refresh_all_labels
    from classifier.models import AdoptionRun, LabelTask, ModelVersion
    from tests.support.artefacts import bring_into_production

    report("filling the tables")
    fill_classified(products, stages=("retired", "production"))
    with connection.cursor() as cursor:
        cursor.execute("VACUUM ANALYZE")
    nobody: AbstractContextManager[list[float]] = nullcontext([])
    with visiting_site(products, per_second=visits) if visits else nobody as answers:
        report("going back to the first version")
        started, cpu = time.perf_counter(), time.process_time()
        with mock.patch.object(services, "verify_version"), mock.patch.object(services, "send_adoption_runs"):
            bring_into_production(ModelVersion.objects.get(pk=1))
        run = AdoptionRun.objects.get()
        while adopt_next_step(run.pk):
            pass
        seconds, cpu_seconds = time.perf_counter() - started, time.process_time() - cpu
    run.refresh_from_db()
    with connection.cursor() as cursor:
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
        "seconds_a_million": seconds / products * 1_000_000,
        "site_answers": len(answers),
        "site_median_milliseconds": 1000 * percentile(answers, 0.5) if answers else None,
        "site_percentile_99_milliseconds": 1000 * percentile(answers, 0.99) if answers else None,
        "process_seconds": cpu_seconds,
        "changed": run.changed,
        "missing": run.missing,
        "labels_unlike_the_version": count_labels_unlike(1),
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
        f"seconds for a million, measured with {result['products']:,}",
        f"{result['seconds_a_million']:.0f}",
        f"{FLOOR_SECONDS:.0f}",
        f"{GOAL_SECONDS:.0f}",
    )
    if result["site_answers"]:
        table.add_row(
            f"99th percentile of the site's {result['site_answers']:,} answers meanwhile, ms",
            f"{result['site_percentile_99_milliseconds']:.0f}",
            f"{FLOOR_MILLISECONDS:.0f}",
            f"{GOAL_MILLISECONDS:.0f}",
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
    parser.add_argument(
        "--visits-per-second",
        type=float,
        default=10.0,
        metavar="N",
        help="that the site answers; 0: without one (%(default)s)",
    )
    run_on_database(
        parser,
        libraries=_LIBRARIES,
        measure=lambda arguments, report: measure(
            arguments.products, visits=arguments.visits_per_second, report=report
        ),
        print_result=print_result,
    )


if __name__ == "__main__":
    main()

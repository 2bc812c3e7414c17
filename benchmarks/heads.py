"""How long a version that only has other heads takes to label pictures whose features are known.

    python -m benchmarks.heads [--products N] [--json]

A catalogue whose pictures one version labelled. Another one on the same base is activated, and what a worker does then
is done here, step by step in one process: labels are decided anew, and a labelling run labels every picture from its
features. Nothing is fetched, decoded or inferred. Afterwards labels, classifications and history are counted.
"""

import argparse
import io
import time
from typing import Any, Final
from unittest import mock

import numpy as np
from rich.console import Console
from rich.table import Table

from benchmarks.classified_rows import count_labels_unlike, fill_classified
from benchmarks.environment import run_on_database
from classifier.ml.types import COLOUR_FEATURES, EMBEDDING_SIZE

# For a million pictures.
FLOOR_SECONDS, GOAL_SECONDS = 900.0, 240.0
_LIBRARIES: Final = ("django", "numpy", "psycopg2-binary")
_ROWS_AT_ONCE: Final = 20_000

_TASKS: Final = """
    INSERT INTO classifier_labeltask
        (image_id, model_version_id, run_id, state, attempts, crashes, next_try_at, error_code)
    SELECT id, 1, 1, 'done', 1, 0, now(), '' FROM image"""


def fill(products: int) -> None:
    """Write the catalogue, and features of each picture with random logits."""
    from hashlib import sha256

    from django.db import connection

    generator = np.random.default_rng(0)
    fill_classified(products, stages=("production", "candidate"))
    with connection.cursor() as cursor:
        cursor.execute(_TASKS)
        for start in range(1, products + 1, _ROWS_AT_ONCE):
            ids = range(start, min(start + _ROWS_AT_ONCE, products + 1))
            features = generator.standard_normal((len(ids), EMBEDDING_SIZE + COLOUR_FEATURES)).astype("<f2")
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
    from tests.support.artefacts import bring_into_production

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
        bring_into_production(ModelVersion.objects.get(pk=2))
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
        "labels_unlike_the_version": count_labels_unlike(2),
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
    run_on_database(
        parser,
        libraries=_LIBRARIES,
        measure=lambda arguments, report: measure(arguments.products, report=report),
        print_result=print_result,
    )


if __name__ == "__main__":
    main()

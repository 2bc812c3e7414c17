"""How long a reviewer waits for the next page of tiles in a catalogue of a million products.

    python -m benchmarks.review_queues [--products N] [--pages N] [--json]

A catalogue that a version labelled, with what its base saw in each picture, on PostgreSQL. The audit is drawn, and then
one reviewer asks the API for page after page of each queue, in turns, and labels every tile, so that the queues have
reviews to compare with. Measured is the whole answer to `POST review-batches/`, without a network between, and how long
this process computed for it: where other work is beside it, only the latter says something.
"""

import argparse
import time
from typing import Any, Final

from rich.console import Console
from rich.table import Table

from benchmarks.catalogue_requests import percentile
from benchmarks.environment import run_on_database
from benchmarks.heads import fill

FLOOR_SECONDS, GOAL_SECONDS = 0.5, 0.1
_QUEUES: Final = ("unsure", "suspicious", "audit", "second_look")
_LIBRARIES: Final = ("django", "numpy", "psycopg2-binary")


def measure(products: int, *, pages: int, report: Any) -> dict[str, Any]:
    """Return how long each queue's pages took; see `print_result`."""
    from django.contrib.auth.models import User
    from django.test import Client

    from classifier.audit.drawing import draw_round
    from classifier.models import ModelVersion, ReviewTile

    report("filling the tables")
    fill(products)
    report("drawing the audit")
    started = time.perf_counter()
    audit = draw_round(version_id=ModelVersion.objects.get(stage="production").pk, seed=0)
    drawing = time.perf_counter() - started
    if audit is None:
        raise RuntimeError("expected labels to draw from")
    client = Client()
    client.force_login(User.objects.create_superuser("benchmark"))
    seconds: dict[str, list[float]] = {queue: [] for queue in _QUEUES}
    computed: dict[str, list[float]] = {queue: [] for queue in _QUEUES}
    report(f"asking for {pages} pages of each queue")
    for number in range(pages + 1):
        for queue, taken in seconds.items():
            started, cpu = time.perf_counter(), time.process_time()
            answer = client.post("/api/v1/review-batches/", {"queue": queue}, content_type="application/json")
            if number:  # the first page of a process loads what it needs
                taken.append(time.perf_counter() - started)
                computed[queue].append(time.process_time() - cpu)
            if answer.status_code >= 400:
                raise RuntimeError(
                    f"expected a page of {queue}, received {answer.status_code}: {answer.content[:300]!r}"
                )
            tiles = ReviewTile.objects.filter(state=ReviewTile.State.OPEN)
            said = [
                {"image": image, "batch": batch, "group": "Footwear" if image % 7 == 0 else "Bags"}
                for image, batch in tiles.values_list("image_id", "batch_id")
            ]
            if said:
                client.post("/api/v1/reviews/", said, content_type="application/json")
    return {
        "products": products,
        "pages": pages,
        "seconds_drawing": drawing,
        "sample": audit.samples.count(),
        "reviews": ReviewTile.objects.filter(state=ReviewTile.State.REVIEWED).count(),
        "queues": {
            queue: {
                "median": percentile(taken, 0.5),
                "percentile_95": percentile(taken, 0.95),
                "process_median": percentile(computed[queue], 0.5),
            }
            for queue, taken in seconds.items()
        },
        "floor_seconds": FLOOR_SECONDS,
        "goal_seconds": GOAL_SECONDS,
    }


def print_result(result: dict[str, Any], *, console: Console) -> None:
    """Print the measurement as a table."""
    table = Table(
        box=None, pad_edge=False, header_style="bold", title=f"Pages of 24 of {result['products']:,} products"
    )
    for heading in ("Queue", "computed", "median", "95th percentile", "floor", "goal"):
        table.add_column(heading, justify="left" if heading == "Queue" else "right")
    for queue, taken in result["queues"].items():
        times = (taken["process_median"], taken["median"], taken["percentile_95"], FLOOR_SECONDS, GOAL_SECONDS)
        table.add_row(queue, *(f"{1000 * seconds:.0f} ms" for seconds in times))
    console.print(table)
    console.print(
        f"{result['reviews']:,} reviews given meanwhile; the audit's {result['sample']:,} products were drawn in "
        f"{result['seconds_drawing']:.1f} s"
    )


def main() -> None:
    """Run the benchmark of the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--products", type=int, default=1_000_000)
    parser.add_argument("--pages", type=int, default=40, help="of each queue (%(default)s)")
    run_on_database(
        parser,
        libraries=_LIBRARIES,
        measure=lambda arguments, report: measure(arguments.products, pages=arguments.pages, report=report),
        print_result=print_result,
        ALLOWED_HOSTS="testserver",
    )


if __name__ == "__main__":
    main()

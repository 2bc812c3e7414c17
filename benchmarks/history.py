"""How long the history of labels takes to answer at size: lists of the past, the feed of changes, figures, metrics.

    python -m benchmarks.history [--products N] [--changes N] [--requests N] [--json]

A catalogue on PostgreSQL whose labels changed five times each over a hundred days. Each address is asked all over the
catalogue and all over the time. Measured is the whole answer, without a network between, and how long this process
computed for it: where other work is beside it, only the latter says something.
"""

import argparse
import random
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any, Final
from urllib.parse import urlencode

from rich.console import Console
from rich.table import Table

from benchmarks.catalogue_requests import percentile
from benchmarks.environment import run_on_database
from benchmarks.heads import fill

#: Milliseconds at the 95th percentile: floor and goal.
LIMITS: Final = {"products as of": (300, 80), "metrics": (500, 100)}
_LIBRARIES: Final = ("django", "psycopg2-binary")
_DAYS: Final = 100
_PAGE: Final = 50

# Round after round through the catalogue, as versions would: the change of a product in the first round is its first.
_CHANGES: Final = """
    INSERT INTO classifier_labelchange
        (product_id, at, why, old_status, old_group, old_garment, old_confidence, old_source, old_reason,
         old_version_id, old_garment_unsure, new_status, new_group, new_garment, new_confidence, new_source,
         new_reason, new_version_id, new_garment_unsure, version_name, sha256)
    SELECT product, now() - %(days)s * interval '1 day' * (1 - n / %(changes)s.0), 'classified',
           CASE WHEN round = 0 THEN 'pending' ELSE 'labelled' END, CASE WHEN round = 0 THEN '' ELSE 'Bags' END,
           CASE WHEN round = 0 THEN '' ELSE 'Bag' END, CASE WHEN round = 0 THEN NULL ELSE 0.9 END,
           CASE WHEN round = 0 THEN '' ELSE 'machine' END, '', CASE WHEN round = 0 THEN NULL ELSE 1 END, false,
           CASE WHEN product %% 20 = 0 THEN 'needs_review' WHEN product %% 50 = 1 THEN 'failed' ELSE 'labelled' END,
           CASE WHEN product %% 50 = 1 THEN '' WHEN product %% 3 = 0 THEN 'Footwear' ELSE 'Bags' END,
           CASE WHEN product %% 50 = 1 THEN '' WHEN product %% 3 = 0 THEN 'Sandal' ELSE 'Bag' END,
           0.5 + product %% 500 / 1000.0, 'machine',
           CASE WHEN product %% 20 = 0 THEN 'unsure' WHEN product %% 50 = 1 THEN 'not_found' ELSE '' END,
           1 + round %% 2, false, 'version ' || 1 + round %% 2, sha256(product::text::bytea)
    FROM (SELECT n, 1 + n %% %(products)s AS product, n / %(products)s AS round
          FROM generate_series(0, %(changes)s - 1) AS n) AS change"""


def list_addresses(name: str, *, products: int, changes: int, requests: int) -> Iterator[str]:
    """Yield the addresses of one kind, all over the catalogue and the time."""
    from catalog.browse.filters import PRODUCT_ORDERINGS
    from catalog.models import Product
    from config.db.paging import get_page

    chance = random.Random(1)  # noqa: S311  (it chooses addresses)
    now = datetime.now(UTC)
    for _ in range(requests):
        at = (now - timedelta(days=_DAYS * chance.random())).isoformat()
        product = chance.randint(1, max(1, products - _PAGE - 1))
        if name == "products as of":
            place = Product.objects.filter(pk__gte=product, pk__lte=product + 1)
            cursor = get_page(place, ordering=PRODUCT_ORDERINGS["id"], page_size=1).next_cursor
            yield f"/api/v1/products/?{urlencode({'as_of': at, 'cursor': cursor, 'page_size': _PAGE})}"
        elif name == "product as of":
            yield f"/api/v1/products/{product}/?{urlencode({'as_of': at})}"
        elif name == "metrics":
            yield "/metrics"
        elif name == "figures":
            yield "/api/v1/figures/?by=day&by=version"
        elif name == "changes":
            yield f"/api/v1/labels/changes/?{urlencode({'after': chance.randrange(changes), 'page_size': 1000})}"


def measure(*, products: int, changes: int, requests: int, report: Any) -> dict[str, Any]:
    """Return how long each kind of answer took; see `print_result`."""
    from django.contrib.auth.models import User
    from django.db import connection
    from django.test import Client

    from classifier.labels.day_counts import count_changes

    report("filling the tables")
    fill(products)
    with connection.cursor() as cursor:
        cursor.execute(_CHANGES, {"products": products, "changes": changes, "days": _DAYS})
        cursor.execute("VACUUM ANALYZE classifier_labelchange")
    client = Client()
    client.force_login(User.objects.create_superuser("benchmark"))
    report("counting the changes")
    started = time.perf_counter()
    while count_changes(seconds=60):
        pass
    counting = time.perf_counter() - started
    found = {}
    for name in NAMES:
        report(f"asking for {name}")
        seconds, computed = [], []
        addresses = list_addresses(name, products=products, changes=changes, requests=requests + 1)
        for number, address in enumerate(list(addresses)):
            started, cpu = time.perf_counter(), time.process_time()
            answer = client.get(address)
            if number:  # the first of each loads what it needs
                seconds.append(time.perf_counter() - started)
                computed.append(time.process_time() - cpu)
            if answer.status_code != 200:
                raise RuntimeError(f"expected {address}, received {answer.status_code}: {answer.content[:300]!r}")
        found[name] = {
            "median": 1000 * percentile(seconds, 0.5),
            "percentile_95": 1000 * percentile(seconds, 0.95),
            "process_median": 1000 * percentile(computed, 0.5),
        }
    return {
        "products": products,
        "changes": changes,
        "requests": requests,
        "seconds_counting": counting,
        "milliseconds": found,
        "limits": LIMITS,
    }


NAMES: Final = ("products as of", "product as of", "changes", "metrics", "figures")


def print_result(result: dict[str, Any], *, console: Console) -> None:
    """Print the measurement as a table."""
    title = f"{result['products']:,} products, {result['changes']:,} changes of labels"
    table = Table(box=None, pad_edge=False, header_style="bold", title=title)
    for heading in ("Answer", "computed", "median", "95th percentile", "floor", "goal"):
        table.add_column(heading, justify="left" if heading == "Answer" else "right")
    for name, taken in result["milliseconds"].items():
        times = (taken["process_median"], taken["median"], taken["percentile_95"], *LIMITS.get(name, (None, None)))
        table.add_row(name, *("" if value is None else f"{value:.0f} ms" for value in times))
    console.print(table)
    console.print(f"All changes were counted by day once, in {result['seconds_counting']:.1f} s")


def main() -> None:
    """Run the benchmark of the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--products", type=int, default=1_000_000)
    parser.add_argument("--changes", type=int, default=5_000_000)
    parser.add_argument("--requests", type=int, default=100, help="of each kind (%(default)s)")
    run_on_database(
        parser,
        libraries=_LIBRARIES,
        measure=lambda arguments, report: measure(
            products=arguments.products, changes=arguments.changes, requests=arguments.requests, report=report
        ),
        print_result=print_result,
        LOG_LEVEL="ERROR",
        ALLOWED_HOSTS="testserver",
    )


if __name__ == "__main__":
    main()

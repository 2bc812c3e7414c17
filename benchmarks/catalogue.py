"""The catalogue at a million products: import, the listing query, pages, filters and searches, on real servers.

    python -m benchmarks.catalogue [--products N] [--load-seconds N] [--most-requests N] [--json]

Starts PostgreSQL and the site, both private to the run and both on this machine, with a catalogue that the benchmark
makes up: two images and three descriptions for each product, nineteen of twenty products labelled.
"""

import argparse
import json
import signal
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final

from rich.console import Console
from rich.table import Table

from benchmarks import catalogue_reads as reads
from benchmarks.catalogue_import import measure_import
from benchmarks.catalogue_requests import percentile
from benchmarks.catalogue_rows import label_products, write_catalogue, write_features
from benchmarks.catalogue_site import running_database, running_site
from benchmarks.machine import describe_machine, machine_lines

_LIBRARIES: Final = ("django", "djangorestframework", "psycopg2-binary", "gunicorn")
_REQUESTS_PER_SECOND: Final = 50.0
#: Fewer have no page but the first to compare with, and no bag among them.
_LEAST_PRODUCTS: Final = 2_000


@dataclass(frozen=True, slots=True)
class Figure:
    """What was measured, what it was compared with or made of, and what it should reach."""

    name: str
    measured: float
    floor: float
    goal: float
    unit: str = ""
    more_is_better: bool = False
    detail: str = ""

    @property
    def reached(self) -> str:
        """The best bound that the figure keeps: "goal", "floor" or "missed"."""
        for name, bound in (("goal", self.goal), ("floor", self.floor)):
            if self.measured >= bound if self.more_is_better else self.measured <= bound:
                return name
        return "missed"


def measure(
    folder: Path, *, products: int, load_seconds: float, most_requests: int, report: Callable[[str], None]
) -> Iterator[Figure]:
    """Yield one figure after the other, on a database with tables and no rows."""
    path = folder / "catalogue.jsonl"
    report("writing the catalogue's file")
    write_catalogue(path, products=products)
    imported = measure_import(path, products=products, report=report)
    yield Figure(
        "import from JSON Lines, against COPY of the same rows",
        imported.ratio,
        floor=0.5,
        goal=0.7,
        more_is_better=True,
        detail=f"{imported.import_seconds:.1f} s against {imported.copy_seconds:.1f} s and "
        f"{imported.index_seconds:.1f} s for the word index ({imported.copy_ratio:.2f} of COPY alone), "
        f"{sum(imported.rows.values()):,} rows",
    )
    path.unlink()
    report("labelling")
    label_products(products=products)
    report("writing the features")
    write_features(products=products)
    query = reads.measure_listing_query(rounds=3, report=report)
    yield Figure(
        "the listing query over all rows, ORM against SQL",
        query.ratio,
        floor=1.1,
        goal=1.0,
        unit="times",
        detail=f"{query.orm_seconds:.2f} s against {query.sql_seconds:.2f} s, {query.rows:,} rows",
    )
    with running_site(folder) as address:
        yield from _measure_site(
            address, products=products, load_seconds=load_seconds, most_requests=most_requests, report=report
        )
    report("counting queries")
    for page, path_of_page in (("an API page", reads.LIST), ("a grid page", "/products/")):
        counts = reads.count_queries([path_of_page, f"{path_of_page}?group=Footwear&min_confidence=0.9"])
        yield Figure(f"queries for {page}", max(counts.values()), floor=5, goal=3)


def _measure_site(
    address: str, *, products: int, load_seconds: float, most_requests: int, report: Callable[[str], None]
) -> Iterator[Figure]:
    report("pages at a steady rate")
    load = reads.measure_load(
        address,
        products=products,
        requests=max(10, int(load_seconds * _REQUESTS_PER_SECOND)),
        per_second=_REQUESTS_PER_SECOND,
    )
    yield Figure(
        f"an API page of {reads.PAGE_SIZE} at {_REQUESTS_PER_SECOND:.0f} requests/s, 99th percentile",
        1000 * percentile(load.seconds, 0.99),
        floor=150,
        goal=40,
        unit="ms",
        detail=f"median {1000 * percentile(load.seconds, 0.5):.1f} ms, {len(load.seconds):,} requests, "
        f"sent {1000 * load.late:.1f} ms late at most",
    )
    number, first, far = reads.measure_far_page(address, products=products, rounds=min(100, most_requests))
    yield Figure(
        f"page {number:,} against page 1",
        far / first,
        floor=1.5,
        goal=1.1,
        unit="times",
        detail=f"{1000 * far:.1f} ms against {1000 * first:.1f} ms",
    )
    for name, paths in (
        ("a filter by group and confidence, 95th percentile", reads.list_group_filters()),
        ("a filter by status, garment and others, 95th percentile", reads.list_other_filters()),
        ("a text search, 95th percentile", reads.list_searches(products=products)),
    ):
        report(name.partition(",")[0])
        yield _show_cases(name, reads.measure_cases(address, paths[:most_requests]), floor=500, goal=150)
    report("reading the features")
    seconds = reads.read_features(address, products=products)
    yield Figure("reading what similar ones are found by, in each process", seconds, floor=60, goal=15, unit="s")
    report("find similar")
    similar = reads.list_similar_products(products=products, count=50)[:most_requests]
    yield _show_cases("find similar, 95th percentile", reads.measure_cases(address, similar), floor=500, goal=150)
    report("the product grid")
    grid = reads.measure_grid(address, products=products, count=min(100, most_requests))
    yield _show_cases("a page of the product grid, 95th percentile", grid, floor=200, goal=80)


def _show_cases(name: str, cases: reads.CaseMeasurement, *, floor: float, goal: float) -> Figure:
    slowest = max(cases.seconds)
    return Figure(
        name,
        1000 * cases.p95,
        floor=floor,
        goal=goal,
        unit="ms",
        detail=f"median {1000 * percentile(cases.seconds, 0.5):.1f} ms of {len(cases.seconds)}, "
        f"slowest {1000 * slowest:.1f} ms: {cases.slowest}"
        + (f"; {cases.given_up} given up with a 503" if cases.given_up else ""),
    )


def print_figures(figures: Sequence[Figure], *, machine: dict[str, Any], products: int, console: Console) -> None:
    """Print the figures beside their floors and goals."""
    table = Table(box=None, pad_edge=False, header_style="bold", title=f"The catalogue at {products:,} products")
    for heading in ("figure", "measured", "floor", "goal", "reached"):
        table.add_column(heading, justify="left" if heading in ("figure", "reached") else "right")
    for figure in figures:
        digits = 0 if figure.measured == int(figure.measured) else 1 if figure.unit == "ms" else 2
        table.add_row(
            figure.name,
            f"{figure.measured:,.{digits}f} {figure.unit}".strip(),
            f"{figure.floor:g}",
            f"{figure.goal:g}",
            figure.reached,
        )
        if figure.detail:
            table.add_row(f"  {figure.detail}", style="dim")
    console.print(table)
    for line in machine_lines(machine):
        console.print(line)


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure and print; return the exit status."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.catalogue", description=__doc__.partition("\n")[0])
    parser.add_argument("--products", type=int, default=1_000_000, metavar="N", help="products (%(default)s)")
    parser.add_argument(
        "--load-seconds", type=float, default=60.0, metavar="N", help="seconds of the steady load (%(default)s)"
    )
    parser.add_argument(
        "--most-requests", type=int, default=1_000, metavar="N", help="requests of each kind at most (%(default)s)"
    )
    parser.add_argument("--json", action="store_true", help="print the result as one JSON document")
    options = parser.parse_args(arguments)
    if options.products < _LEAST_PRODUCTS:
        parser.error(f"expected at least {_LEAST_PRODUCTS:,} products, received {options.products:,}")
    # Whoever ends the benchmark early still gets the servers stopped and the files removed.
    signal.signal(signal.SIGTERM, lambda number, frame: sys.exit(128 + number))
    machine = describe_machine(_LIBRARIES)
    started = time.monotonic()

    def report(step: str) -> None:
        sys.stderr.write(f"{time.monotonic() - started:6.1f} s  {step}\n")

    figures = []
    with running_database() as folder:
        measured = measure(
            folder,
            products=options.products,
            load_seconds=options.load_seconds,
            most_requests=options.most_requests,
            report=report,
        )
        for figure in measured:
            report(f"{figure.name}: {figure.measured:,.2f} {figure.unit}")
            figures.append(figure)
    report("done")
    if options.json:
        result = {
            "machine": machine,
            "products": options.products,
            "seconds": time.monotonic() - started,
            "figures": [{**asdict(figure), "reached": figure.reached} for figure in figures],
        }
        sys.stdout.write(json.dumps(result) + "\n")
    else:
        console = Console(highlight=False, width=150)
        print_figures(figures, machine=machine, products=options.products, console=console)
    return 0


if __name__ == "__main__":
    sys.exit(main())

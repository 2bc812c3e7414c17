"""What grows with the catalogue: lists, searches, start page, sweep, runs and cleaning at ten million products.

    python -m benchmarks.scale [--products N] [--database URL] [--most-requests N] [--json]

Starts PostgreSQL and the site, both private to the run, with an image and a short text for each product, written by
SQL, 2.4 GB a million. Ten million are skipped where the disk has less than 60 GB free. With a database of an earlier
run nothing is written but what the figures themselves write; an empty one is filled and stays. It must be a
superuser's.
"""

import argparse
import json
import os
import shutil
import signal
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from datetime import timedelta
from pathlib import Path
from typing import Any, Final
from unittest.mock import patch

import django
from rich.console import Console

from benchmarks import catalogue_reads as reads
from benchmarks.catalogue import Figure, print_figures
from benchmarks.catalogue_requests import Visitor, percentile
from benchmarks.catalogue_site import running_database, running_site
from benchmarks.machine import describe_machine
from benchmarks.scale_rows import fill_catalogue

_LIBRARIES: Final = ("django", "djangorestframework", "psycopg2-binary", "gunicorn")
#: What must be free for so many products; fewer fit anywhere.
_FREE_BYTES: Final = 60 * 10**9
_MANY_PRODUCTS: Final = 5_000_000
#: Fewer have no rare word and no bag among them.
_LEAST_PRODUCTS: Final = 10_000
_STEPS: Final = 10


def measure(folder: Path, *, products: int, most_requests: int, report: Callable[[str], None]) -> Iterator[Figure]:
    """Yield one figure after the other, on a filled database."""
    with running_site(folder) as address:
        report("the start page")
        yield _measure_start_page(address, seconds=min(20.0, most_requests / 5))
        for name, paths in (
            ("pages all over the list", _list_far_pages(products)),
            ("filters by group and confidence", reads.list_group_filters()),
            ("filters by status, garment and others", reads.list_other_filters()),
            ("text searches", reads.list_searches(products=products, digits=8)),
        ):
            report(name)
            cases = reads.measure_cases(address, _spread(paths, most_requests))
            yield Figure(
                f"{name}, 95th percentile",
                1000 * cases.p95,
                floor=500,
                goal=150,
                unit="ms",
                detail=f"median {1000 * percentile(cases.seconds, 0.5):.1f} ms of {len(cases.seconds)}, slowest "
                f"{1000 * max(cases.seconds):.1f} ms: {cases.slowest}"
                + (f"; {cases.given_up} given up with a 503" if cases.given_up else ""),
            )
    report("counting for the start page and for Prometheus")
    from catalog.browse.summary import count_catalogue

    yield _show_seconds("counting labels by status, group and day", _time(count_catalogue), floor=1.0, goal=0.1)
    report("sweeps")
    yield _show_seconds("a sweep, without its walk", _time(_sweep), floor=5.0, goal=1.0)
    report("a run over a selection")
    yield from _measure_selection(products)
    report("cleaning")
    yield from _measure_cleaning(products)


def _measure_start_page(address: str, *, seconds: float) -> Figure:
    """Ask for the start page now and then, so that some answers count the catalogue anew and most do not."""
    took: list[float] = []
    ends_at = time.monotonic() + seconds
    with Visitor(address) as visitor:
        first, _ = visitor.get("/")
        while time.monotonic() < ends_at or len(took) < 20:
            took.append(visitor.get("/")[0])
            time.sleep(0.2)
    return Figure(
        "the start page, 95th percentile",
        1000 * percentile(took, 0.95),
        floor=1000,
        goal=100,
        unit="ms",
        detail=f"median {1000 * percentile(took, 0.5):.1f} ms of {len(took)}, the site's first {1000 * first:.0f} ms",
    )


def _spread(paths: Sequence[str], most: int) -> list[str]:
    """Return at most so many of the paths, from all over the list."""
    return list(paths) if len(paths) <= most else [paths[number * len(paths) // most] for number in range(most)]


def _list_far_pages(products: int) -> list[str]:
    return [reads.page_after(number * 7919 * reads.PAGE_SIZE % products) for number in range(100)]


def _time(call: Callable[[], Any], *, rounds: int = _STEPS) -> list[float]:
    took = []
    for _ in range(rounds):
        started = time.perf_counter()
        call()
        took.append(time.perf_counter() - started)
    return took


def _show_seconds(name: str, took: Sequence[float], *, floor: float, goal: float, detail: str = "") -> Figure:
    middle = f"median of {len(took)}, slowest {1000 * max(took):.0f} ms"
    return Figure(
        name,
        1000 * statistics.median(took),
        floor=1000 * floor,
        goal=1000 * goal,
        unit="ms",
        detail=f"{middle}; {detail}" if detail else middle,
    )


def _sweep() -> None:
    """Sweep as a worker does; its walk would find that no classification stands behind these labels."""
    from classifier.worker import sweep

    with patch.object(sweep, "walk_labels"):
        sweep.sweep()


def _measure_selection(products: int) -> Iterator[Figure]:
    from catalog.models import Image
    from classifier.labelling.runs import cancel_labelling_run, take_next_step
    from classifier.labelling.starting import start_labelling_run

    with patch("classifier.labelling.starting._send_run"):
        for share, floor, goal in ((100, 60.0, 10.0), (10, 600.0, 60.0)):
            images = Image.objects.filter(pk__gt=products // 2, pk__lte=products // 2 + products // share)
            started = time.perf_counter()
            run = start_labelling_run(images=images, relabel=True)
            took = time.perf_counter() - started
            yield _show_seconds(
                f"starting a run over {products // share:,} chosen pictures", [took], floor=floor, goal=goal
            )
            steps: list[float] = []
            while len(steps) < _STEPS:
                started = time.perf_counter()
                goes_on = take_next_step(run.pk)
                steps.append(time.perf_counter() - started)
                if not goes_on:
                    break
            yield _show_seconds("a step of it, 2,000 pictures", steps, floor=5.0, goal=1.0)
            cancel_labelling_run(run)


def _measure_cleaning(products: int) -> Iterator[Figure]:
    from classifier.cleaning.rules import Figures, Terms
    from classifier.cleaning.services import clean_next

    for phase, after, size in (("images", 0, 1000), ("images", products * 9 // 10, 1000), ("versions", 0, 1000)):
        place: tuple[str, int] | None = (phase, after)
        took: list[float] = []
        while place is not None and place[0] == phase and len(took) < _STEPS:
            started = time.perf_counter()
            place = clean_next(*place, Terms(timedelta(days=30)), Figures())
            took.append(time.perf_counter() - started)
        where = "" if phase == "versions" else f" behind {after:,}"
        hours = products / size * statistics.median(took) / 3600
        detail = f"a round over all takes {hours:.1f} h of one process" if phase == "images" else ""
        yield _show_seconds(f"a step of cleaning, {phase}{where}", took, floor=2.0, goal=0.5, detail=detail)


@contextmanager
def _open_database(url: str) -> Iterator[Path]:
    """Set Django up on this database, its tables made, and give a folder for files."""
    folder = Path(tempfile.mkdtemp(prefix="benchmark-"))
    os.environ.update(
        DJANGO_SETTINGS_MODULE="config.settings.base", VAR_DIR=str(folder), DATABASE_URL=url, LOG_LEVEL="WARNING"
    )
    os.environ.pop("REDIS_URL", None)
    django.setup()
    from django.core.management import call_command

    call_command("migrate", verbosity=0)
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def find_room(products: int) -> str:
    """Return why the benchmark cannot be run here, empty where it can."""
    free = shutil.disk_usage(tempfile.gettempdir()).free
    if products < _MANY_PRODUCTS or free >= _FREE_BYTES:
        return ""
    return f"skipped: expected {_FREE_BYTES / 1e9:.0f} GB free for {products:,} products, found {free / 1e9:.0f}"


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure and print; return the exit status."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.scale", description=__doc__.partition("\n")[0])
    parser.add_argument("--products", type=int, default=10_000_000, metavar="N", help="products (%(default)s)")
    parser.add_argument("--database", default="", metavar="URL", help="one that stays, filled if it is empty")
    parser.add_argument("--most-requests", type=int, default=60, metavar="N", help="lists of each kind (%(default)s)")
    parser.add_argument("--json", action="store_true", help="print the result as one JSON document")
    options = parser.parse_args(arguments)
    if options.products < _LEAST_PRODUCTS:
        parser.error(f"expected at least {_LEAST_PRODUCTS:,} products, received {options.products:,}")
    if not options.database and (reason := find_room(options.products)):
        sys.stdout.write(json.dumps({"skipped": reason}) + "\n" if options.json else f"{reason}\n")
        return 0
    # Whoever ends the benchmark early still gets the servers stopped and the files removed.
    signal.signal(signal.SIGTERM, lambda number, frame: sys.exit(128 + number))
    machine, started, figures = describe_machine(_LIBRARIES), time.monotonic(), []

    def report(step: str) -> None:
        sys.stderr.write(f"{time.monotonic() - started:6.1f} s  {step}\n")

    with _open_database(options.database) if options.database else running_database() as folder:
        from catalog.models import Product

        if not Product.objects.exists():
            fill_catalogue(products=options.products, report=report)
        products = Product.objects.latest("pk").pk
        for figure in measure(folder, products=products, most_requests=options.most_requests, report=report):
            report(f"{figure.name}: {figure.measured:,.1f} {figure.unit}; {figure.detail}")
            figures.append(figure)
    if options.json:
        found = [{**asdict(figure), "reached": figure.reached} for figure in figures]
        result = {"machine": machine, "products": products, "seconds": time.monotonic() - started, "figures": found}
        sys.stdout.write(json.dumps(result) + "\n")
    else:
        print_figures(figures, machine=machine, products=products, console=Console(highlight=False, width=150))
    return 0


if __name__ == "__main__":
    sys.exit(main())

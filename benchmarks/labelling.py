"""Pictures at URLs labelled end to end by a real worker, beside the bare loop, in one run.

    python -m benchmarks.labelling [--sizes 60x80 1200x1600] [--images N] [--json]

Starts PostgreSQL, a Redis server, an HTTP server with JPEG files and a labelling worker, all private to the run and all
on this machine, and labels pictures that no host and no disk has seen before.
"""

import argparse
import json
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

from rich.console import Console
from rich.table import Table

from benchmarks.environment import Site, running_site, running_worker
from benchmarks.looks import describe_looks, measure_looks
from benchmarks.machine import count_cores, describe_machine, machine_lines
from benchmarks.shop_pictures import draw_pictures, parse_size
from benchmarks.usage import find_peak_memory, read_usage, seconds_used
from catalog.pictures.decoding import DECODED_SIZE, decode_picture
from classifier.ml.artefacts import DEFAULT_ARTEFACT
from config.console import ProgressReport

#: Pictures labelled end to end for each size; the bare loop labels half as many before and half as many after.
IMAGES: Final = {"60x80": 6_000, "1200x1600": 1_500}
_OTHER_IMAGES: Final = 1_000
_LIBRARIES: Final = ("celery", "django", "psycopg2-binary", "aiohttp", "pillow", "ai-edge-litert", "numpy")
#: Batches for each core that are labelled before the clock starts, so that every worker process has its network.
_WARM_BATCHES: Final = 4
#: Pictures that are looked at with and without the branch for colours.
_LOOKED_AT: Final = 16


@dataclass(frozen=True, slots=True)
class Measurement:
    """One size of picture: both rates in pictures a second, and what the end-to-end run took of the machine."""

    size: str
    images: int
    seconds: float
    bare_images_per_second: float
    processor_seconds: dict[str, float]
    worker_peak_bytes: int | None
    look_milliseconds: dict[str, float]

    @property
    def images_per_second(self) -> float:
        """Pictures labelled end to end in a second."""
        return self.images / self.seconds

    @property
    def cores_busy(self) -> dict[str, float]:
        """How many cores each program kept busy end to end: 1.0 is one core all the time."""
        return {name: used / self.seconds for name, used in self.processor_seconds.items()}

    @property
    def milliseconds_an_image(self) -> dict[str, float]:
        """The processor time that each program spent on one picture end to end."""
        return {name: 1000.0 * used / self.images for name, used in self.processor_seconds.items()}

    @property
    def ratio(self) -> float:
        """The end-to-end rate against the bare loop's."""
        return self.images_per_second / self.bare_images_per_second

    def to_json(self) -> dict[str, Any]:
        """Return the measurement as plain JSON."""
        return {
            "size": self.size,
            "images": self.images,
            "seconds": self.seconds,
            "images_per_second": self.images_per_second,
            "bare_images_per_second": self.bare_images_per_second,
            "ratio": self.ratio,
            "cores_busy": self.cores_busy,
            "milliseconds_an_image": self.milliseconds_an_image,
            "worker_peak_bytes": self.worker_peak_bytes,
            "look_milliseconds": self.look_milliseconds,
        }


def measure_size(site: Site, *, size: str, images: int, report: ProgressReport) -> Measurement:
    """Measure one size: half of the bare loop, the worker, the other half of the bare loop.

    What else the machine does meanwhile then weighs on both sides alike.
    """
    # Django is set up by now.
    from django.conf import settings

    from benchmarks import labelling_paths as paths

    version = paths.prepare_database()
    batch = settings.LABELLING_BATCH_SIZE
    warm, half = min(images, _WARM_BATCHES * batch * count_cores()), max(1, images // 2)
    bare = min(images, batch)
    parts, start = {}, 0
    for name, count in (("warm", warm), ("measured", images), ("bare warm", bare), ("before", half), ("after", half)):
        parts[name] = paths.create_products(site, size=size, numbers=range(start, start + count))
        start += count
    paths.label_in_bare_loop(parts["bare warm"], version=version)
    before = paths.label_in_bare_loop(parts["before"], version=version)
    with running_worker(site) as worker:
        paths.label_end_to_end(parts["warm"], progress=report.update)
        programs = {
            "worker": worker,
            "postgresql": site.postgresql,
            "redis": site.broker,
            "origin": site.origin.process_id,
        }
        usage = read_usage(programs)
        labelled = paths.label_end_to_end(parts["measured"], progress=report.update)
        used = seconds_used(usage, read_usage(programs))
        peak = find_peak_memory(worker)
    after = paths.label_in_bare_loop(parts["after"], version=version)
    files = draw_pictures(parse_size(size), count=_LOOKED_AT)
    shown = [decode_picture(file, target_size=DECODED_SIZE).pixels for file in files]
    return Measurement(
        size=size,
        images=labelled.images,
        seconds=labelled.seconds,
        bare_images_per_second=(before.images + after.images) / (before.seconds + after.seconds),
        processor_seconds=used,
        worker_peak_bytes=peak,
        look_milliseconds=measure_looks(DEFAULT_ARTEFACT, shown),
    )


def print_measurements(measurements: Sequence[Measurement], *, machine: dict[str, Any], console: Console) -> None:
    """Print the tables of rates and of what the end-to-end run took."""
    rates = Table(box=None, pad_edge=False, header_style="bold", title="JPEG files over HTTP to labels")
    for heading in ("size", "images", "seconds", "images/s", "bare loop images/s", "ratio"):
        rates.add_column(heading, justify="right")
    usage = Table(
        box=None, pad_edge=False, header_style="bold", title="End to end: cores busy, and ms of them a picture"
    )
    for heading in ("size", *measurements[0].processor_seconds, "largest worker process"):
        usage.add_column(heading, justify="right")
    for row in measurements:
        rates.add_row(
            row.size,
            f"{row.images:,}",
            f"{row.seconds:.2f}",
            f"{row.images_per_second:,.0f}",
            f"{row.bare_images_per_second:,.0f}",
            f"{row.ratio:.2f}",
        )
        spent = row.milliseconds_an_image
        peak = "unknown" if row.worker_peak_bytes is None else f"{row.worker_peak_bytes / 1e6:,.0f} MB"
        usage.add_row(
            row.size, *(f"{cores:.2f} ({spent[name]:.2f} ms)" for name, cores in row.cores_busy.items()), peak
        )
    console.print(rates)
    console.print(usage)
    for row in measurements:
        console.print(describe_looks(row.look_milliseconds, size=row.size))
    for line in machine_lines(machine):
        console.print(line)


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure and print; return the exit status."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.labelling", description=__doc__.partition("\n")[0])
    parser.add_argument("--sizes", nargs="+", default=list(IMAGES), metavar="WIDTHxHEIGHT", help="sizes of the files")
    parser.add_argument("--images", type=int, metavar="N", help="pictures of each size (60x80: 6000, 1200x1600: 1500)")
    parser.add_argument("--json", action="store_true", help="print the result as one JSON document")
    options = parser.parse_args(arguments)
    for size in options.sizes:
        try:
            parse_size(size)
        except ValueError as error:
            parser.error(str(error))
    machine = describe_machine(_LIBRARIES)
    with running_site(sizes=options.sizes) as site:
        measurements = []
        for size in options.sizes:
            with ProgressReport(sys.stderr, title=f"Labelling {size}", unit="pictures") as report:
                images = options.images or IMAGES.get(size, _OTHER_IMAGES)
                measurements.append(measure_size(site, size=size, images=images, report=report))
    if options.json:
        result = {"machine": machine, "sizes": [measurement.to_json() for measurement in measurements]}
        sys.stdout.write(json.dumps(result) + "\n")
    else:
        print_measurements(measurements, machine=machine, console=Console(highlight=False, width=100))
    return 0


if __name__ == "__main__":
    sys.exit(main())

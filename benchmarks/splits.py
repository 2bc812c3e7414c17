"""Finding the family of a picture among very many: how long the indexed read and the comparisons take.

    python -m benchmarks.splits [--pictures N] [--rounds N] [--json]

Starts a PostgreSQL, writes drawn pictures with families, and looks for the mirror images of some of them. Exits with 1
when one is not found.
"""

import argparse
import json
import signal
import sys
import time
from statistics import quantiles
from typing import Any, Final

import numpy as np

from benchmarks.catalogue_site import running_database
from benchmarks.machine import describe_machine, machine_lines
from classifier.ml.data.fingerprints import SIZE, NearFinder, build_band, measure_tones
from classifier.ml.data.parts import Part

_ROWS_AT_ONCE: Final = 10_000


def draw_fingerprints(generator: np.random.Generator, *, rows: int) -> np.ndarray:
    """Return fingerprints uint8[rows, 32, 32, 3] of soft patches in front of white, as a studio's pictures are."""
    places = np.linspace(0, 5, SIZE)
    soft = np.maximum(0, 1 - np.abs(places[:, np.newaxis] - np.arange(6))).astype(np.float32)
    patches = generator.integers(20, 236, (rows, 6, 6, 3)).astype(np.float32)
    patches[:, [0, -1]] = patches[:, :, [0, -1]] = 250
    return np.einsum("yu,xv,nuvc->nyxc", soft, soft, patches, optimize=True).round().astype(np.uint8)


def write_pictures(generator: np.random.Generator, *, pictures: int) -> np.ndarray:
    """Write so many pictures, all of one family, and return the fingerprints of the last ones."""
    from classifier.models import SplitAssignment, SplitPicture
    from config.db.bulk import insert_rows

    family = SplitAssignment.objects.create(part=Part.TRAINING)
    fields = ("sha256", "assignment", "fingerprint", "band", "tone_3", "tone_4", "tone_5")
    for start in range(0, pictures, _ROWS_AT_ONCE):
        drawn = draw_fingerprints(generator, rows=min(_ROWS_AT_ONCE, pictures - start))
        rows = []
        for number, fingerprint in enumerate(drawn, start=start):
            tones = measure_tones(fingerprint)
            digest = number.to_bytes(32, "big")
            rows.append((digest, family.pk, fingerprint.tobytes(), build_band(tones), *tones[3:]))
        insert_rows(SplitPicture, fields=fields, rows=rows)
    return drawn


def main() -> int:
    """Measure and print; return the exit status."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pictures", type=int, default=1_000_000, metavar="N", help="with families (%(default)s)")
    parser.add_argument("--rounds", type=int, default=50, metavar="N")
    parser.add_argument("--json", action="store_true", help="print the result as one JSON document")
    arguments = parser.parse_args()
    signal.signal(signal.SIGTERM, lambda number, frame: sys.exit(128 + number))
    with running_database():
        from django.db import connection

        from classifier.splits.selectors import find_near_pictures

        generator = np.random.default_rng(0)
        known = write_pictures(generator, pictures=arguments.pictures)
        with connection.cursor() as cursor:
            cursor.execute("VACUUM ANALYZE classifier_splitpicture")
        milliseconds, found = [], 0
        for number in range(arguments.rounds):
            picture = np.ascontiguousarray(known[number % len(known)][:, ::-1])
            started = time.perf_counter()
            found += bool(find_near_pictures(NearFinder(picture[np.newaxis]))[0])
            milliseconds.append(1000 * (time.perf_counter() - started))
    cuts = quantiles(milliseconds, n=20)
    result: dict[str, Any] = {
        "machine": describe_machine(("numpy", "psycopg2-binary")),
        "pictures": arguments.pictures,
        "rounds": arguments.rounds,
        "found": found,
        "median_milliseconds": round(cuts[9], 1),
        "p95_milliseconds": round(cuts[18], 1),
    }
    if arguments.json:
        sys.stdout.write(json.dumps(result) + "\n")
    else:
        sys.stdout.write(
            f"a family among {arguments.pictures:,} pictures: {result['median_milliseconds']} ms, 95 % within "
            f"{result['p95_milliseconds']} ms, {found} of {arguments.rounds} found\n"
        )
        sys.stdout.write("".join(f"{line}\n" for line in machine_lines(result["machine"])))
    return 0 if found == arguments.rounds else 1


if __name__ == "__main__":
    sys.exit(main())

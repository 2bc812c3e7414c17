"""A drift check of a version that labelled very many pictures: how long it takes, and the reads of it.

    python -m benchmarks.drift [--pictures N] [--rounds N] [--json]

Starts a PostgreSQL, writes classifications and features of drawn pictures, and compares the first half of them with the
second, and with the newest, which were moved.
"""

import argparse
import time
from collections.abc import Callable
from datetime import UTC, datetime
from statistics import median
from typing import Any, Final

import numpy as np
from rich.console import Console

from benchmarks.environment import run_on_database
from classifier.ml.labels import GARMENTS, GROUP_OF_GARMENT

_ROWS_AT_ONCE: Final = 10_000
_FEATURES: Final = 128
#: The last pictures, which differ from all others.
_MOVED: Final = 500
_LONG_AGO: Final = datetime(2020, 1, 1, tzinfo=UTC)


def write_pictures(*, pictures: int) -> None:
    """Write so many pictures that a version in production labelled in three runs, the last `_MOVED` of them moved."""
    from catalog.models import Image
    from classifier.models import Base, Classification, LabellingRun, ModelVersion, PictureFeatures
    from config.db.bulk import insert_rows

    base = Base.objects.create(digest=bytes(32), name="drawn")
    version = ModelVersion.objects.create(
        name="drawn", folder="drawn", manifest_sha256="0" * 64, base=base, recipe="default", seed=1, stage="production"
    )
    chance = np.random.default_rng(1)
    number = 0
    for amount, moved in ((pictures // 2, 0.0), (pictures // 2 - _MOVED, 0.0), (_MOVED, 0.5)):
        run = LabellingRun.objects.create(model_version=version, state="done")
        for start in range(0, amount, _ROWS_AT_ONCE):
            rows = min(_ROWS_AT_ONCE, amount - start)
            places = range(number, number := number + rows)
            garments = chance.integers(len(GARMENTS), size=rows)
            kinds = np.eye(len(GARMENTS), _FEATURES)[garments]
            features = (kinds + chance.normal(size=(rows, _FEATURES)) + moved).astype("<f2")
            statistics = chance.normal(size=(rows, 6)).astype("<f2")
            insert_rows(
                Image,
                fields=("id", "url"),
                rows=[(place + 1, f"https://shop-{place % 40}.example/{place}.jpg") for place in places],
            )
            insert_rows(
                PictureFeatures,
                fields=("base", "sha256", "features", "logits", "blank", "canonical", "views", "statistics"),
                rows=[
                    (base.pk, place.to_bytes(32, "big"), one.tobytes(), bytes(20), False, False, 1, six.tobytes())
                    for place, one, six in zip(places, features, statistics, strict=True)
                ],
            )
            insert_rows(
                Classification,
                fields=(
                    "image",
                    "model_version",
                    "run",
                    "sha256",
                    "group",
                    "garment",
                    "confidence",
                    "abstained",
                    "garment_unsure",
                    "garment_probabilities",
                    "none_probability",
                ),
                rows=[
                    (
                        place + 1,
                        version.pk,
                        run.pk,
                        place.to_bytes(32, "big").hex(),
                        GROUP_OF_GARMENT[GARMENTS[garment]],
                        GARMENTS[garment],
                        0.91,
                        False,
                        False,
                        [0.91 if other == garment else 0.01 for other in range(len(GARMENTS))],
                        None,
                    )
                    for place, garment in zip(places, garments.tolist(), strict=True)
                ],
            )


def measure_checks(*, rounds: int) -> dict[str, Any]:
    """Return the seconds of checks of the newest pictures, which were moved, and of all after the reference."""
    from classifier.monitoring.services import check_drift

    seconds: dict[str, list[float]] = {"newest": [], "all": []}
    found = 0
    for _ in range(rounds):
        started = time.perf_counter()
        found += check_drift(pictures=_MOVED).is_different
        seconds["newest"].append(time.perf_counter() - started)
        started = time.perf_counter()
        check_drift(since=_LONG_AGO)
        seconds["all"].append(time.perf_counter() - started)
    return {"found": found} | {f"{name}_seconds": round(median(values), 2) for name, values in seconds.items()}


def measure(arguments: argparse.Namespace, report: Callable[[str], None]) -> dict[str, Any]:
    """Write the pictures and return how long checks of them take."""
    from django.db import connection

    report(f"writing {arguments.pictures:,} classifications")
    write_pictures(pictures=arguments.pictures)
    with connection.cursor() as cursor:
        cursor.execute("VACUUM ANALYZE")
    report(f"{arguments.rounds} checks of each kind")
    return {"pictures": arguments.pictures, "rounds": arguments.rounds, **measure_checks(rounds=arguments.rounds)}


def print_result(result: dict[str, Any], *, console: Console) -> None:
    """Print what was measured, and of how many checks the moved pictures were found to differ."""
    console.print(
        f"a drift check at {result['pictures']:,} classifications: {result['newest_seconds']} s for the newest "
        f"{_MOVED}, {result['all_seconds']} s for all after the reference; {result['found']} of {result['rounds']} "
        "differ"
    )


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pictures", type=int, default=1_000_000, metavar="N", help="classified (%(default)s)")
    parser.add_argument("--rounds", type=int, default=5, metavar="N", help="checks of each kind (%(default)s)")
    run_on_database(parser, libraries=("numpy", "psycopg2-binary"), measure=measure, print_result=print_result)


if __name__ == "__main__":
    main()

"""Nearest pictures: candidates in memory, compared by their rows, against PostgreSQL's extension pgvector; both exact.

    python -m benchmarks.similar [--embeddings N] [--size N] [--even] [--rounds N] [--json]

Starts a PostgreSQL with the extension (that of the tests' wheel has it), gives both sides the same embeddings in half
precision, and asks them in turn for the same neighbours. The embeddings differ along few axes more than along others,
as those of pictures do; with --even along all alike, so that the search in memory compares nearly all of them wholly.
NumPy's own products have one thread, as in the site. Exits with 1 when both do not find the same.
"""

import argparse
import io
import json
import signal
import sys
import time
from collections.abc import Mapping, Sequence
from statistics import median
from typing import Any, Final

from threadpoolctl import threadpool_limits

from benchmarks.catalogue_rows import FeatureSource
from benchmarks.catalogue_site import running_database
from benchmarks.machine import describe_machine, machine_lines

_ROWS_AT_ONCE: Final = 20_000
#: What a page of ten similar products looks at first.
_COUNT: Final = 44


def write_both(source: FeatureSource, *, embeddings: int, size: int, cursor: Any) -> int:
    """Write so many embeddings of this size as features of a new base, and into a table of pgvector's, with equal ids.

    The hash of a picture is its id. Returns the base's id.
    """
    from classifier.models import Base

    base = Base.objects.create(digest=bytes(32), name="benchmark")
    cursor.execute(f"CREATE EXTENSION vector; CREATE TABLE nearest (id bigint PRIMARY KEY, embedding halfvec({size}))")
    for start in range(0, embeddings, _ROWS_AT_ONCE):
        vectors = source.draw(min(_ROWS_AT_ONCE, embeddings - start))
        rows = (f"{id}\t{as_text(vector)}\n" for id, vector in enumerate(vectors, start=start + 1))
        cursor.copy_expert("COPY nearest FROM STDIN", io.StringIO("".join(rows)))
        rows = (
            f"{id}\t{base.pk}\t\\\\x{id:064x}\t\\\\x{vector.tobytes().hex()}\tf\tf\t1\n"
            for id, vector in enumerate(vectors, start=start + 1)
        )
        cursor.copy_expert(
            "COPY classifier_picturefeatures (id, base_id, sha256, features, blank, canonical, views) FROM STDIN",
            io.StringIO("".join(rows)),
        )
    cursor.execute("VACUUM ANALYZE nearest, classifier_picturefeatures")
    return base.pk


def as_text(vector: Any) -> str:
    """Return the vector as pgvector reads it, every bit of it."""
    return f"[{','.join(f'{number:.9g}' for number in vector)}]"


def build_result(seconds: Mapping[str, Sequence[float]], *, embeddings: int, same: int) -> dict[str, Any]:
    """Return the measurement as plain JSON, from the seconds of each round and in how many both found the same."""
    return {
        "embeddings": embeddings,
        "rounds": len(next(iter(seconds.values()))),
        "rounds_with_the_same": same,
        "searches": [
            {"name": name, "median_milliseconds": 1000 * median(values), "best_milliseconds": 1000 * min(values)}
            for name, values in seconds.items()
        ],
    }


def print_result(result: dict[str, Any]) -> None:
    """Print the medians of both sides in milliseconds."""
    for row in result["searches"]:
        middle, best = row["median_milliseconds"], row["best_milliseconds"]
        sys.stdout.write(f"{row['name']:<14} {middle:8.1f} ms, at best {best:.1f} ms\n")
    sys.stdout.write(
        f"the same {_COUNT} of {result['embeddings']:,} embeddings in {result['rounds_with_the_same']} of "
        f"{result['rounds']} rounds\n"
    )
    sys.stdout.write("".join(f"{line}\n" for line in machine_lines(result["machine"])))


def main() -> int:
    """Measure and print; return the exit status."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--embeddings", type=int, default=500_000, metavar="N")
    parser.add_argument("--size", type=int, default=128, metavar="N", help="numbers of an embedding (%(default)s)")
    parser.add_argument("--even", action="store_true", help="embeddings that differ along all axes alike")
    parser.add_argument("--rounds", type=int, default=20, metavar="N")
    parser.add_argument("--json", action="store_true", help="print the result as one JSON document")
    arguments = parser.parse_args()
    machine = describe_machine(("numpy", "psycopg2-binary"))
    # However it is ended, its server is stopped.
    signal.signal(signal.SIGTERM, lambda number, frame: sys.exit(128 + number))
    with running_database(), threadpool_limits(limits=1, user_api="blas"):
        from django.db import connection

        from classifier.features.matrix import normalise
        from classifier.features.memory import LoadedFeatures
        from classifier.features.neighbours import compare_candidates

        source = FeatureSource(arguments.size, even=arguments.even)
        seconds: dict[str, list[float]] = {"memory": [], "pgvector": []}
        same = 0
        with connection.cursor() as cursor:
            base_id = write_both(source, embeddings=arguments.embeddings, size=arguments.size, cursor=cursor)
            loaded = LoadedFeatures(base_id, size=arguments.size)
            while loaded.read_on():
                pass
            for _ in range(arguments.rounds):
                (vector,) = normalise(source.draw(1).tobytes(), size=arguments.size)
                started = time.perf_counter()
                candidates = loaded.matrix.find_candidates(vector, count=_COUNT)
                found, _ = compare_candidates(candidates, vector=vector, count=_COUNT)
                between = time.perf_counter()
                cursor.execute(
                    "SELECT id FROM nearest ORDER BY embedding <=> %s::halfvec LIMIT %s", [as_text(vector), _COUNT]
                )
                stored = [id for (id,) in cursor.fetchall()]
                seconds["memory"].append(between - started)
                seconds["pgvector"].append(time.perf_counter() - between)
                same += [int(sha256, 16) for sha256 in found] == stored
    result = {"machine": machine, **build_result(seconds, embeddings=arguments.embeddings, same=same)}
    if arguments.json:
        sys.stdout.write(json.dumps(result) + "\n")
    else:
        print_result(result)
    return 0 if same == arguments.rounds else 1


if __name__ == "__main__":
    sys.exit(main())

"""Nearest pictures: candidates in memory, compared by their rows, against PostgreSQL's extension pgvector; both exact.

    python -m benchmarks.similar [--embeddings N] [--size N] [--rounds N] [--json]

Starts a PostgreSQL with the extension (that of the tests' wheel has it), gives both sides the same random embeddings in
half precision, and asks them in turn for the same neighbours. Exits with 1 when they do not find the same.
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

import numpy as np
from numpy.typing import NDArray

from benchmarks.catalogue_site import running_database
from benchmarks.machine import describe_machine, machine_lines

_ROWS_AT_ONCE: Final = 20_000
#: What a page of ten similar products looks at first.
_COUNT: Final = 44


def write_both(*, embeddings: int, size: int, cursor: Any) -> NDArray[np.float16]:
    """Write so many embeddings of this size into the table `nearest`, with ids from 1 on, and return them."""
    stored = np.empty((embeddings, size), np.float16)
    generator = np.random.default_rng(0)
    cursor.execute(f"CREATE EXTENSION vector; CREATE TABLE nearest (id bigint PRIMARY KEY, embedding halfvec({size}))")
    cursor.execute("CREATE TABLE seen (id bigint PRIMARY KEY, features bytea)")
    for start in range(0, embeddings, _ROWS_AT_ONCE):
        vectors = draw_vectors(generator, rows=min(_ROWS_AT_ONCE, embeddings - start), size=size)
        stored[start : start + len(vectors)] = vectors
        rows = (f"{id}\t{as_text(vector)}\n" for id, vector in enumerate(vectors, start=start + 1))
        cursor.copy_expert("COPY nearest FROM STDIN", io.StringIO("".join(rows)))
        rows = (f"{id}\t\\\\x{vector.tobytes().hex()}\n" for id, vector in enumerate(vectors, start=start + 1))
        cursor.copy_expert("COPY seen FROM STDIN", io.StringIO("".join(rows)))
    cursor.execute("VACUUM ANALYZE nearest, seen")
    return stored


def draw_vectors(generator: np.random.Generator, *, rows: int, size: int) -> NDArray[np.float16]:
    """Return random directions, float16[rows, size] of length 1."""
    vectors = generator.standard_normal((rows, size), dtype=np.float32)
    return np.asarray(vectors / np.linalg.norm(vectors, axis=1, keepdims=True), np.float16)


def as_text(vector: Any) -> str:
    """Return the vector as pgvector reads it, every bit of it."""
    return f"[{','.join(f'{number:.9g}' for number in vector)}]"


def find_in_memory(features: Any, vector: NDArray[np.float32], *, cursor: Any) -> list[int]:
    """Return the ids of the nearest, the nearest first, as *find similar* finds them."""
    cursor.execute(
        "SELECT id, features FROM seen WHERE id = ANY (%s)", [features.find_candidates(vector, count=_COUNT)]
    )
    rows = sorted((id, bytes(data)) for id, data in cursor.fetchall())
    cosines = np.frombuffer(b"".join(data for _, data in rows), np.float16).reshape(len(rows), -1).astype("f4") @ vector
    return [rows[place][0] for place in np.argsort(-cosines, kind="stable")[:_COUNT]]


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
    parser.add_argument("--rounds", type=int, default=20, metavar="N")
    parser.add_argument("--json", action="store_true", help="print the result as one JSON document")
    arguments = parser.parse_args()
    machine = describe_machine(("numpy", "psycopg2-binary"))
    # However it is ended, its server is stopped.
    signal.signal(signal.SIGTERM, lambda number, frame: sys.exit(128 + number))
    with running_database():
        from django.db import connection

        from classifier.features.matrix import FeatureMatrix, RoundedFeatures

        total = arguments.embeddings
        generator = np.random.default_rng(1)
        seconds: dict[str, list[float]] = {"memory": [], "pgvector": []}
        same = 0
        with connection.cursor() as cursor:
            vectors = write_both(embeddings=total, size=arguments.size, cursor=cursor)
            features = FeatureMatrix((RoundedFeatures.of(np.arange(1, total + 1), vectors.astype(np.float32)),))
            for _ in range(arguments.rounds):
                (vector,) = draw_vectors(generator, rows=1, size=arguments.size)
                started = time.perf_counter()
                found = find_in_memory(features, vector.astype(np.float32), cursor=cursor)
                between = time.perf_counter()
                cursor.execute(
                    "SELECT id FROM nearest ORDER BY embedding <#> %s::halfvec LIMIT %s", [as_text(vector), _COUNT]
                )
                stored = [id for (id,) in cursor.fetchall()]
                seconds["memory"].append(between - started)
                seconds["pgvector"].append(time.perf_counter() - between)
                same += found == stored
    result = {"machine": machine, **build_result(seconds, embeddings=total, same=same)}
    if arguments.json:
        sys.stdout.write(json.dumps(result) + "\n")
    else:
        print_result(result)
    return 0 if same == arguments.rounds else 1


if __name__ == "__main__":
    sys.exit(main())

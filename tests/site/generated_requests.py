"""The long form of the generated requests: ``python -m tests.site.generated_requests``, or ``make fuzz``."""

import argparse
import json
import subprocess
import sys
import time
from pathlib import Path

TESTS = Path(__file__).with_name("test_generated_requests.py")


def main() -> int:
    """Send requests made from the schema of the API to the site, and return 1 if one was not answered as it says."""
    parser = argparse.ArgumentParser(prog="python -m tests.site.generated_requests", description=main.__doc__)
    parser.add_argument("--cases", type=int, default=10_000, help="how many, by each of two visitors (%(default)s)")
    parser.add_argument("--seed", type=int, default=1, help="what they are made from (%(default)s)")
    parser.add_argument("--json", action="store_true", help="print the outcome as one JSON document")
    arguments = parser.parse_args()

    options = ["-q", "--api-cases", str(arguments.cases), "--api-seed", str(arguments.seed)]
    started = time.monotonic()
    result = subprocess.run(
        [sys.executable, "-m", "pytest", *options, str(TESTS)],
        cwd=TESTS.parents[2],
        stdout=sys.stderr if arguments.json else None,
        check=False,
    )
    if arguments.json:
        report = {
            "cases": arguments.cases,
            "seed": arguments.seed,
            "passed": result.returncode == 0,
            "elapsed_seconds": round(time.monotonic() - started, 1),
        }
        sys.stdout.write(json.dumps(report) + "\n")
    return min(result.returncode, 1)


if __name__ == "__main__":
    sys.exit(main())

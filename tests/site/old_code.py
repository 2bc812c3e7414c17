"""Whether the code of an earlier commit works on the schema of this one: what a rolling upgrade has for a while.

    python -m tests.site.old_code [--base COMMIT] [--json] [TESTS ...]

The earlier commit is checked out beside this one, and its own tests run, on PostgreSQL, in databases that this code
migrated; that commit's own migrations are never applied. Tests of migrations themselves are left out.
"""

import argparse
import json
import os
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

from tests.support.forks import run_forked
from tests.support.servers import REPOSITORY, TEMPLATE_VARIABLE, make_template

#: Before the first commit of what is not released yet; a release's tag from the first release on.
BASE: Final = "4897c2d"
#: What reads and writes the database; the others would find the same.
TESTS: Final = ("tests/catalog", "tests/classifier", "tests/config", "tests/site")
#: What is about one commit's own migrations, or about the repository as it is checked out.
_LEFT_OUT: Final = ("tests/site/test_migrations.py", "tests/site/test_architecture.py")
# pytest-django would bring the test database to the code's own state; the schema of this commit is to stay. A table
# that the code does not know may reference those that a test empties when it ends.
_PLUGIN: Final = """
import pytest
from tests.support import servers

servers.migrate = lambda url: None

@pytest.hookimpl(trylast=True)
def pytest_sessionstart(session):
    from django.core.management import get_commands, load_command_class
    migrate, flush = (type(load_command_class(get_commands()[name], name)) for name in ("migrate", "flush"))
    migrate.handle = lambda self, *arguments, **options: None
    empty = flush.handle
    flush.handle = lambda self, **options: empty(self, **options | {"allow_cascade": True})
"""
# The variable is read by Django when it starts, and would be another's.
_PYTEST: Final = """
import os, sys, pytest
os.environ.pop("DJANGO_SETTINGS_MODULE", None)
sys.exit(pytest.main(sys.argv[1:]))
"""
#: A test that is slow on a busy machine says nothing of the schema.
_PATIENCE: Final = ("-o", "timeout=900")
_SUMMARY: Final = re.compile(r"(\d+) (passed|failed|errors?|skipped|xfailed)")


@contextmanager
def checked_out(commit: str) -> Iterator[Path]:
    """Give a folder with the files of a commit, which goes in the end. Raises `LookupError` where there is no such."""
    known = subprocess.run(["git", "cat-file", "-e", f"{commit}^{{commit}}"], cwd=REPOSITORY, capture_output=True)
    if known.returncode:
        raise LookupError(f"expected the commit {commit} in this repository, there is none: fetch its history")
    with tempfile.TemporaryDirectory(prefix="old-code-") as folder:
        tree = Path(folder) / "tree"
        tree.mkdir()
        with subprocess.Popen(["git", "archive", commit], cwd=REPOSITORY, stdout=subprocess.PIPE) as archive:
            subprocess.run(["tar", "-x", "-C", tree], stdin=archive.stdout, check=True)
        yield tree


@contextmanager
def migrated() -> Iterator[None]:
    """Let the servers that start while the block runs have this commit's schema."""
    if TEMPLATE_VARIABLE in os.environ:  # of a run of this commit's tests
        yield
        return
    template = make_template()
    try:
        yield
    finally:
        template.stop()
        del os.environ[TEMPLATE_VARIABLE]


def run_old_tests(
    tree: Path, *, tests: Sequence[str], processes: int = 1, options: Sequence[str] = (), forks: bool = False
) -> dict[str, Any]:
    """Run tests of the tree on a schema that is `migrated`; return their numbers, and what pytest said.

    With `forks` pytest is a fork of a process that has imported the tree, which is `forking`.
    """
    left_out = [f"--ignore={path}" for path in _LEFT_OUT]
    side_by_side = ["-n", str(processes), "--dist", "loadscope"] if processes > 1 else []
    (tree / "unmigrated.py").write_text(_PLUGIN)
    environment = {
        **{name: value for name, value in os.environ.items() if not name.startswith("TEST_")},
        TEMPLATE_VARIABLE: os.environ[TEMPLATE_VARIABLE],
    }
    command = ["-c", _PYTEST, "-q", "-p", "no:cacheprovider", "-p", "unmigrated", *_PATIENCE]
    command += [*side_by_side, *left_out, *options, *tests]
    started = time.monotonic()
    if forks:
        done = run_forked(*command, cwd=tree, env=environment)
    else:
        done = subprocess.run(
            [sys.executable, *command], cwd=tree, env=environment, capture_output=True, text=True, check=False
        )
    lines = done.stdout.strip().splitlines()
    numbers = {word.rstrip("s"): int(number) for number, word in _SUMMARY.findall(lines[-1] if lines else "")}
    return {
        "seconds": round(time.monotonic() - started, 1),
        "status": done.returncode,
        **{word: numbers.get(word, 0) for word in ("passed", "failed", "error", "skipped")},
        "failures": [line for line in lines if line.startswith(("FAILED", "ERROR"))],
        "said": done.stdout + done.stderr,
    }


def main() -> int:
    """Run and report; return the exit status."""
    parser = argparse.ArgumentParser(prog="python -m tests.site.old_code", description=__doc__.partition("\n")[0])
    parser.add_argument(
        "tests", nargs="*", default=TESTS, metavar="TESTS", help="files or folders of that commit's tests"
    )
    parser.add_argument("--base", default=BASE, metavar="COMMIT", help="the earlier commit (%(default)s)")
    parser.add_argument("--processes", type=int, default=2, metavar="N", help="side by side (%(default)s)")
    parser.add_argument("--json", action="store_true", help="print the result as one JSON document")
    options = parser.parse_args()
    try:
        with checked_out(options.base) as tree, migrated():
            # Tests of that commit ask git which files there are.
            for command in (["init", "--quiet"], ["add", "--all"]):
                subprocess.run(["git", *command], cwd=tree, check=True)
            result = run_old_tests(tree, tests=options.tests, processes=options.processes)
    except LookupError as error:
        sys.stderr.write(f"{error}\n")
        return 2
    said = result.pop("said")
    if options.json:
        sys.stdout.write(json.dumps({"base": options.base, **result}) + "\n")
    else:
        sys.stdout.write(said)
    return int(result["status"] != 0)


if __name__ == "__main__":
    sys.exit(main())

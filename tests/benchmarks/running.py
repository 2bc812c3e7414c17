"""Benchmarks in forks of a process that has imported the product, as are their sites and workers."""

import json
import runpy
import subprocess
import sys
from pathlib import Path
from typing import Any
from unittest import mock

from tests.support.forks import Fork, fork, run_forked


def run_benchmark(name: str, *arguments: str) -> "subprocess.CompletedProcess[str]":
    """Run `python -m benchmarks.name arguments`."""
    return run_forked("-m", __name__, f"benchmarks.{name}", *arguments)


def read_report(name: str, *arguments: str) -> dict[str, Any]:
    """Run the benchmark and return its JSON document."""
    result = run_benchmark(name, *arguments, "--json")
    assert result.returncode == 0, result.stderr
    report: dict[str, Any] = json.loads(result.stdout)
    return report


def _start(*arguments: str, log: Path) -> Fork:
    return fork("-m", *arguments, output=log)


if __name__ == "__main__":
    from config import processes

    sys.argv = sys.argv[1:]
    with mock.patch.object(processes, "_start", _start):
        runpy.run_module(sys.argv[0], run_name="__main__", alter_sys=True)

"""The machine and the libraries that figures were measured with, to be read beside them."""

import os
import platform
from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any, Final

import psutil

#: A load, or a number of cores busy before a run, above which something else was at work: as docs/benchmarks.md says.
BUSY: Final = 0.3
#: How long the machine is watched. The load average still holds our own last run, this does not.
_WATCH_SECONDS: Final = 1.0
LIBRARIES = ("tensorflow", "keras", "ai-edge-litert", "numpy", "pillow")


def count_cores() -> int:
    """Return the number of cores this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def count_busy_cores() -> float:
    """Watch the machine for a moment and return how many of its cores were busy."""
    return float(psutil.cpu_percent(interval=_WATCH_SECONDS)) / 100 * (psutil.cpu_count() or 1)


def describe_machine(libraries: Sequence[str] = LIBRARIES) -> dict[str, Any]:
    """Return processor, cores, load before the benchmark, Python and library versions, as plain JSON."""
    return {
        "processor": _processor_name(),
        "cores": count_cores(),
        "load_before": round(os.getloadavg()[0], 2),
        "python": platform.python_version(),
        "libraries": {name: version(name) for name in libraries},
    }


def machine_lines(machine: dict[str, Any]) -> list[str]:
    """Return the description as lines for people."""
    libraries = ", ".join(f"{name} {number}" for name, number in machine["libraries"].items())
    return [
        f"{machine['cores']} cores, {machine['processor']}; load before the start {machine['load_before']}",
        f"Python {machine['python']}, {libraries}",
    ]


def _processor_name() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor() or platform.machine()
    return next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), platform.machine())

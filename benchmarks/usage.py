"""Processor time and memory of a running program with everything it started."""

import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import psutil


@dataclass(frozen=True, slots=True)
class Reading:
    """Seconds of processor time that each program had used at a moment (`at`, seconds of a steady clock)."""

    at: float
    seconds: Mapping[str, float]


def read_usage(programs: Mapping[str, int]) -> Reading:
    """Return what each program, given by its first process's id, has used so far, ended children included."""
    return Reading(
        at=time.perf_counter(), seconds={name: _processor_seconds(process_id) for name, process_id in programs.items()}
    )


def seconds_used(before: Reading, after: Reading) -> dict[str, float]:
    """Return the seconds of processor time that each program used between two readings."""
    return {name: used - before.seconds[name] for name, used in after.seconds.items()}


def find_peak_memory(process_id: int) -> int | None:
    """Return the most bytes that the largest process of a program ever had resident; None where /proc does not say."""
    peaks = [_peak_bytes(process.pid) for process in _family(process_id)]
    known = [peak for peak in peaks if peak is not None]
    return max(known, default=None)


def _family(process_id: int) -> list[psutil.Process]:
    first = psutil.Process(process_id)
    return [first, *first.children(recursive=True)]


def _processor_seconds(process_id: int) -> float:
    total = 0.0
    for process in _family(process_id):
        try:
            times = process.cpu_times()
        except psutil.NoSuchProcess:
            continue
        total += times.user + times.system + times.children_user + times.children_system
    return total


def _peak_bytes(process_id: int) -> int | None:
    try:
        lines = Path(f"/proc/{process_id}/status").read_text().splitlines()
    except OSError:
        return None
    return next((int(line.split()[1]) * 1024 for line in lines if line.startswith("VmHWM:")), None)

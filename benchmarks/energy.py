"""The energy that the processor takes, where the machine can tell: RAPL's counters below /sys/class/powercap."""

import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

POWERCAP: Final = Path("/sys/class/powercap")
NOT_MEASURABLE: Final = "not measurable here"


@dataclass(frozen=True, slots=True)
class Cost:
    """What some work took: seconds, and joules of all processor packages, None where the machine does not tell.

    The joules are those of everything that ran meanwhile, and of a machine that only waits.
    """

    seconds: float
    joules: float | None

    def __add__(self, other: "Cost") -> "Cost":
        seconds = self.seconds + other.seconds
        if self.joules is None or other.joules is None:
            return Cost(seconds, None)
        return Cost(seconds, self.joules + other.joules)


def measure(work: Callable[[], object], *, powercap: Path = POWERCAP) -> Cost:
    """Return what the work took."""
    before, started = _read_counters(powercap), time.perf_counter()
    work()
    seconds, after = time.perf_counter() - started, _read_counters(powercap)
    if not before or before.keys() != after.keys():
        return Cost(seconds, None)
    # A counter begins anew when it has reached its range.
    return Cost(seconds, sum((after[zone][0] - used) % most for zone, (used, most) in before.items()) / 1e6)


def _read_counters(powercap: Path) -> dict[str, tuple[int, int]]:
    """Return the microjoules of each package so far, and where that count ends; nothing if any may not be read."""
    counters = {}
    for zone in powercap.glob("intel-rapl:*"):
        try:
            if (zone / "name").read_text().startswith("package"):
                used, most = (int((zone / name).read_text()) for name in ("energy_uj", "max_energy_range_uj"))
                counters[zone.name] = (used, most)
        except (OSError, ValueError):
            return {}
    return counters

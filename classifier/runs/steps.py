"""Steps of a run, one after the other."""

import time
from collections.abc import Callable

# After which a run lets other work on the queue go first.
AT_ONCE_SECONDS = 10.0


def do_steps(run_id: int, *, step: Callable[[int], bool], seconds: float) -> bool:
    """Do steps of the run until there is none, or for so many seconds; return whether there is more to do."""
    end = time.monotonic() + seconds
    while has_more := step(run_id):
        if time.monotonic() >= end:
            break
    return has_more

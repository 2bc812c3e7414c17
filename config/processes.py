"""Child processes of a command: started with this Python, ended whatever happens."""

import ctypes
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from types import TracebackType
from typing import Self

from django.conf import settings

from config.web.texts import format_duration

# Before a process that ended is started again: twice as long each time, until one has lived for so long.
SHORTEST_PAUSE_SECONDS, LONGEST_PAUSE_SECONDS = 1.0, 60.0
RECOVERED_SECONDS = 60.0
STOP_SECONDS = 10.0
PR_SET_PDEATHSIG = 1


@contextmanager
def running(*arguments: str, log: Path) -> Iterator[subprocess.Popen[bytes]]:
    """Run `python -m arguments` from the project's folder while the block runs, its output going to `log`.

    The process gets SIGTERM at the end and ten seconds to stop, then SIGKILL with everything it started.
    """
    process = _start(*arguments, log=log)
    try:
        yield process
    finally:
        _stop(process)


class KeptRunning:
    """A process as in `running`, which is started again when it ends, by whoever calls `look` now and then."""

    def __init__(self, name: str, *arguments: str, log: Path) -> None:
        self.name, self.arguments, self.log = name, arguments, log
        self.pause = SHORTEST_PAUSE_SECONDS

    def __enter__(self) -> Self:
        self._start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        _stop(self.process)

    def _start(self) -> None:
        self.process = _start(*self.arguments, log=self.log)
        self.started_at, self.due_at = time.monotonic(), 0.0

    def look(self) -> str:
        """Start the process again if it ended and its pause is over; return what to tell people, mostly nothing."""
        code, now = self.process.poll(), time.monotonic()
        if code is None:
            return ""
        if not self.due_at:
            lived = now - self.started_at
            self.pause = SHORTEST_PAUSE_SECONDS if lived > RECOVERED_SECONDS else self.pause
            self.due_at, pause = now + self.pause, self.pause
            self.pause = min(2 * self.pause, LONGEST_PAUSE_SECONDS)
            how = f"was ended by {signal.Signals(-code).name}" if code < 0 else f"ended with code {code}"
            return (
                f"The {self.name} {how} after {format_duration(lived)}. "
                f"It is started again in {format_duration(pause)}. Its log: {self.log}"
            )
        if now >= self.due_at:
            self._start()
        return ""


def _start(*arguments: str, log: Path) -> subprocess.Popen[bytes]:
    log.parent.mkdir(parents=True, exist_ok=True)
    libc = ctypes.CDLL(None) if sys.platform == "linux" else None

    def end_with_parent() -> None:
        if libc is not None:
            libc.prctl(PR_SET_PDEATHSIG, signal.SIGTERM)  # a parent that is killed cannot end its children itself

    with log.open("ab") as output:
        return subprocess.Popen(
            [sys.executable, "-m", *arguments],
            cwd=settings.BASE_DIR,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,  # so that Ctrl-C reaches this command only, which then ends the child in order
            preexec_fn=end_with_parent,  # safe with one thread, and this process has one
        )


def _stop(process: subprocess.Popen[bytes]) -> None:
    process.terminate()
    try:
        process.wait(timeout=STOP_SECONDS)
    except (subprocess.TimeoutExpired, KeyboardInterrupt):
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()

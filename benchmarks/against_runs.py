"""The runs of a comparison: a temporary worktree of the other commit, and a process for each run there and here."""

import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from benchmarks.against_figures import read_figures, read_lines
from benchmarks.machine import BUSY, count_busy_cores

#: How long a run that is cut short has to stop its servers and remove its files.
_STOP_SECONDS: Final = 30.0
_TAIL_LINES: Final = 20
#: All that a run gets of our environment. What names databases, folders or settings would weigh on one side or both.
_KEPT_VARIABLES: Final = (
    "HOME", "KERAS_HOME", "LANG", "LC_ALL", "LD_LIBRARY_PATH", "LOGNAME", "PATH", "TMPDIR", "TZ", "USER",
)  # fmt: skip


class AgainstError(Exception):
    """There is nothing to compare: the commit or a benchmark is unknown, or a run failed."""


@dataclass(frozen=True, slots=True)
class Side:
    """One of the two that are compared: "theirs" or "ours", its commit and its folder."""

    name: str
    commit: str
    folder: Path
    #: Whether the folder holds more than the commit.
    changed: bool = False

    def __str__(self) -> str:
        return f"{self.name} ({self.commit[:7]}{' with changes' if self.changed else ''})"


@dataclass(frozen=True, slots=True)
class Run:
    """One run: its figures by name, how long it took, and how busy the machine was just before it."""

    side: str
    seconds: float
    load_before: float
    cores_busy_before: float
    figures: Mapping[str, float]


def find_benchmarks(folder: Path) -> list[str]:
    """Return the names of the benchmarks in a working tree, without this one: the modules that tell their usage."""
    modules = sorted((folder / "benchmarks").glob("*.py"))
    named = [path.stem for path in modules if f"\n    python -m benchmarks.{path.stem} " in path.read_text()]
    return [name for name in named if name != "against"]


def find_commit(repository: Path, name: str) -> str:
    """Return the full id of the commit with this name; raise `AgainstError` if there is none."""
    result = _git(repository, "rev-parse", "--verify", "--quiet", "--end-of-options", f"{name}^{{commit}}")
    if result.returncode != 0:
        raise AgainstError(f"expected a commit of this repository, received {name!r}")
    return result.stdout.strip()


def has_changes(repository: Path) -> bool:
    """Tell whether the working tree holds more, or other things, than its commit."""
    return bool(_git(repository, "status", "--porcelain").stdout)


@contextmanager
def checked_out(repository: Path, commit: str) -> Iterator[Path]:
    """Check the commit out into a temporary worktree while the block runs, and give its folder."""
    parent = Path(tempfile.mkdtemp(prefix="against-"))
    folder = parent / "theirs"
    try:
        result = _git(repository, "worktree", "add", "--quiet", "--detach", str(folder), commit)
        if result.returncode != 0:
            raise AgainstError(f"expected to check {commit[:7]} out, git said: {result.stderr.strip()}")
        yield folder
    finally:
        # Forced, as what the runs left in it is no loss.
        _git(repository, "worktree", "remove", "--force", str(folder))
        shutil.rmtree(parent, ignore_errors=True)


def _git(repository: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run Git without hooks, which have no business in a benchmark, and let it finish whatever ends us."""
    command = ["git", "-c", "core.hooksPath=/dev/null", *arguments]
    with subprocess.Popen(
        command,
        cwd=repository,
        env=_clean_environment(),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    ) as process:
        output, errors = process.communicate()
    return subprocess.CompletedProcess(command, process.returncode, output, errors)


def _clean_environment() -> dict[str, str]:
    return {name: os.environ[name] for name in _KEPT_VARIABLES if name in os.environ}


def measure(sides: Sequence[Side], *, benchmark: str, options: Sequence[str], runs: int) -> list[Run]:
    """Run the benchmark on both sides in turn, `runs` times each; raise `AgainstError` at the first run that fails."""
    has_json = {side.name: "--json" in _run(side, benchmark, ["--help"], what=f"--help of {side}")[0] for side in sides}
    # Who goes first changes: what the first of a pair leaves behind, or warms up, would always weigh on the same side.
    order = [side for number in range(runs) for side in (sides if number % 2 == 0 else reversed(sides))]
    done: list[Run] = []
    for number, side in enumerate(order, start=1):
        load, busy = os.getloadavg()[0], count_busy_cores()
        arguments = [*options, *(["--json"] if has_json[side.name] else [])]
        output, seconds = _run(side, benchmark, arguments, what=f"run {number} of {len(order)}, {side}")
        figures = read_figures(output) if has_json[side.name] else read_lines(output)
        if not figures:
            raise AgainstError(f"expected figures of {side}, its output has none:\n{_tail(output)}")
        done.append(Run(side=side.name, seconds=seconds, load_before=load, cores_busy_before=busy, figures=figures))
        _say(f"run {number} of {len(order)}  {side}: {seconds:.1f} s; before it load {load:.2f}, {busy:.2f} cores busy")
    return done


def _run(side: Side, benchmark: str, arguments: Sequence[str], *, what: str) -> tuple[str, float]:
    """Run the side's benchmark in a process of its own; return its standard output and the seconds it took."""
    with (
        tempfile.TemporaryDirectory(prefix="against-var-") as var,
        tempfile.TemporaryFile("w+", errors="replace") as errors,
    ):
        started = time.monotonic()
        process = subprocess.Popen(
            [sys.executable, "-m", f"benchmarks.{benchmark}", *arguments],
            cwd=side.folder,
            env={**_clean_environment(), "VAR_DIR": var},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=errors,
            text=True,
            errors="replace",
            # Ctrl-C reaches this command only, which then ends the run in order.
            start_new_session=True,
        )
        try:
            output, _ = process.communicate()
        finally:
            _stop(process)
        seconds = time.monotonic() - started
        if process.returncode != 0:
            errors.seek(0)
            raise AgainstError(
                f"{what} {_describe_end(process.returncode)} after {seconds:.1f} s; the end of its output:\n"
                f"{_tail(output + errors.read())}"
            )
        return output, seconds


def _stop(process: subprocess.Popen[str]) -> None:
    """End a run that was cut short, as Ctrl-C would: all benchmarks stop their servers then."""
    if process.poll() is not None:
        return
    process.send_signal(signal.SIGINT)
    try:
        process.wait(_STOP_SECONDS)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def _describe_end(status: int) -> str:
    return f"exited with {status}" if status > 0 else f"was ended by {signal.Signals(-status).name}"


def _tail(text: str) -> str:
    return "\n".join(text.rstrip().splitlines()[-_TAIL_LINES:]) or "(nothing)"


def find_busy_runs(runs: Sequence[Run]) -> list[int]:
    """Return the numbers, from 1, of the runs before which the machine was busy with something else.

    The load average counts before the first only: later it holds our own runs.
    """
    return [
        number
        for number, run in enumerate(runs, start=1)
        if run.cores_busy_before > BUSY or (number == 1 and run.load_before > BUSY)
    ]


def _say(line: str) -> None:
    sys.stderr.write(f"{line}\n")
    sys.stderr.flush()


@contextmanager
def ended_in_order() -> Iterator[None]:
    """Have the signals that end a command end the block, once: the clean-up is not to be cut short by a second."""
    numbers = [signal.SIGINT, signal.SIGTERM]
    # Whoever ignores it, as nohup does, wants to be left alone by it.
    if signal.getsignal(signal.SIGHUP) is not signal.SIG_IGN:
        numbers.append(signal.SIGHUP)

    def end(number: int, frame: object) -> None:
        for other in numbers:
            signal.signal(other, signal.SIG_IGN)
        sys.exit(128 + number)

    former = {number: signal.signal(number, end) for number in numbers}
    try:
        yield
    finally:
        for number, handler in former.items():
            signal.signal(number, handler)

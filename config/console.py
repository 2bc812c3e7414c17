"""What a person sees while a command works: a bar on a terminal, a plain line now and then elsewhere."""

import time
from types import TracebackType
from typing import IO, Self

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

PLAIN_LINE_SECONDS = 5.0


class ProgressReport:
    """Reports how far one phase of a command has come, on `stream` (standard error, so that results stay clean).

    Use it as a context manager. With `enabled` false it says nothing (`--verbosity 0`).
    """

    def __init__(self, stream: IO[str], *, title: str, unit: str, enabled: bool = True) -> None:
        self.title, self.unit, self.enabled = title, unit, enabled
        # A command's own stream ends whatever is written with a new line, each step of a bar too, and colours it red.
        self.console = Console(file=getattr(stream, "_out", stream), highlight=False)
        self.started_at = time.monotonic()
        self.line_at = self.started_at
        self.bar: Progress | None = None
        self.state: tuple[int, int | None, str] = (0, 0, "")
        if enabled and self.console.is_terminal:
            self.bar = Progress(
                TextColumn("{task.description}"),
                BarColumn(),
                MofNCompleteColumn(),
                TextColumn("{task.fields[note]}"),
                TimeRemainingColumn(),
                console=self.console,
            )
            self.task = self.bar.add_task(title, total=None, note="")

    def __enter__(self) -> Self:
        if self.bar is not None:
            self.bar.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if self.bar is not None:
            self.bar.stop()
        elif self.enabled and kind is None and self.state[1]:
            self._print_line()

    @property
    def seconds(self) -> float:
        """Seconds since the phase began."""
        return time.monotonic() - self.started_at

    def update(self, done: int, total: int | None, *, note: str = "") -> None:
        """Show that `done` of `total` are finished, None if nobody knows; `note` is a few words, such as a rate."""
        self.state = (done, total, note)
        if self.bar is not None:
            self.bar.update(self.task, completed=done, total=total, note=note)
        elif self.enabled and time.monotonic() - self.line_at >= PLAIN_LINE_SECONDS:
            self._print_line()

    def _print_line(self) -> None:
        done, total, note = self.state
        self.line_at = time.monotonic()
        count = f"{done}" if total is None else f"{done} of {total}"
        self.console.print(f"{self.title}: {count} {self.unit}{', ' + note if note else ''}", soft_wrap=True)

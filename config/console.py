"""What commands say: while they work a bar on a terminal or a plain line now and then, then a text or a document."""

import json
import sys
import time
from argparse import RawDescriptionHelpFormatter
from collections.abc import Sequence
from types import TracebackType
from typing import IO, Any, Self, cast
from unicodedata import category

from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.db import Error
from rich.console import Console, Group, RenderableType
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table

from config.db.troubles import explain

PLAIN_LINE_SECONDS = 5.0
# Control and format characters, halves of a pair, and line and paragraph separators.
_CONTROLS = frozenset({"Cc", "Cf", "Cs", "Zl", "Zp"})


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


class ReportingCommand(BaseCommand):
    """A command that shows on standard error how far it is, and answers for people, or with --json for programs."""

    # Whether there is something for --no-progress to leave out.
    shows_progress = False

    def execute(self, *args: Any, **options: Any) -> str | None:
        """Do the command; an error of the database that it does not see to itself is said in words."""
        try:
            return super().execute(*args, **options)
        except Error as error:
            raise CommandError(explain(error)) from error
        except CommandError as error:
            error.args = (show_controls(str(error)),)
            raise

    def create_parser(self, prog_name: str, subcommand: str, **kwargs: Any) -> CommandParser:
        """Return the command line with the options that all have, after the command's own."""
        parser = super().create_parser(prog_name, subcommand, formatter_class=RawDescriptionHelpFormatter, **kwargs)
        parser.add_argument("--json", action="store_true", help="print the result as one JSON document")
        if self.shows_progress:
            parser.add_argument("--no-progress", action="store_true", help="show no progress")
        return parser

    def show_progress(self, options: dict[str, Any], *, title: str, unit: str) -> ProgressReport:
        """Return the report of one phase, which says nothing if the command line asks for that."""
        enabled = options["verbosity"] > 0 and not options.get("no_progress")
        return ProgressReport(cast(IO[str], self.stderr), title=title, unit=unit, enabled=enabled)

    def answer(self, result: Any, text: RenderableType, options: dict[str, Any], *, width: int | None = 100) -> None:
        """Print the result as JSON, or the text; the text is left out with `--verbosity 0`.

        A table is `width` characters wide at most, None for as many as the terminal has.
        """
        try:
            if options["json"]:
                self.stdout.write(json.dumps(result))
            elif options["verbosity"] and isinstance(text, str):
                self.stdout.write(show_controls(text))
            elif options["verbosity"]:
                Console(file=cast(IO[str], self.stdout), highlight=False, markup=False, width=width).print(text)
            self.stdout.flush()
        except OSError as error:
            # Python would complain again when it closes what cannot be written to.
            sys.stdout = None
            is_gone = isinstance(error, BrokenPipeError)
            why = "the reader of standard output went away" if is_gone else f"standard output: {error.strerror}"
            raise CommandError(why) from error


def show_controls(text: str) -> str:
    """Return the text with what would move a terminal's cursor, or cannot be written, as escapes; lines stay lines."""
    return "".join(
        sign.encode("unicode_escape").decode() if sign != "\n" and category(sign) in _CONTROLS else sign
        for sign in text
    )


def build_table(
    title: str, headings: Sequence[str], rows: Sequence[Sequence[str]], *, below: str, words: int = 1
) -> Group:
    """Return a table, left out where it has no rows, and a few lines below it.

    Columns after the first `words` hold numbers and are set to the right.
    """
    table = Table(box=None, pad_edge=False, header_style="bold", title=title)
    for index, heading in enumerate(headings):
        table.add_column(heading, justify="left" if index < words else "right")
    for row in rows:
        table.add_row(*map(show_controls, row))
    return Group(*([table] if rows else []), below)

"""What a person sees while a command works."""

import io
import os
import sys
from typing import IO

import pytest
from django.core.management.base import CommandError, OutputWrapper

from config.console import ProgressReport, ReportingCommand, show_controls


class Terminal(io.StringIO):
    """A stream that says of itself that a person sits before it."""

    def isatty(self) -> bool:
        return True


def test_a_bar_stays_on_its_line_of_the_terminal() -> None:
    terminal = Terminal()
    stream = OutputWrapper(terminal)
    stream.style_func = lambda text: f"ALARM {text}"
    with ProgressReport(stream, title="Training", unit="steps") as report:
        for done in range(5):
            report.update(done, 5)
            report.bar.refresh()
    assert "4/5" in terminal.getvalue()
    assert terminal.getvalue().count("\n") == 1
    assert "ALARM" not in terminal.getvalue()


def test_elsewhere_it_is_one_plain_line() -> None:
    stream = io.StringIO()
    with ProgressReport(stream, title="Training", unit="steps") as report:
        report.update(4, 5, note="loss 0.5")
    assert stream.getvalue() == "Training: 4 of 5 steps, loss 0.5\n"


def answer_into(stream: IO[str]) -> None:
    ReportingCommand(stdout=stream).answer({}, "something", {"json": True, "verbosity": 1})  # type: ignore[arg-type]


def test_a_full_output_is_said_in_a_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdout", sys.stdout)  # given back after the test
    stream = os.fdopen(os.open("/dev/full", os.O_WRONLY), "w")
    with pytest.raises(CommandError, match="standard output: No space left on device"):
        answer_into(stream)
    with pytest.raises(OSError, match="No space"):
        stream.close()


def test_a_reader_that_went_away_is_no_fault(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdout", sys.stdout)
    reading, writing = os.pipe()
    os.close(reading)
    stream = os.fdopen(writing, "w")
    with pytest.raises(CommandError, match="the reader of standard output went away"):
        answer_into(stream)
    with pytest.raises(BrokenPipeError):
        stream.close()


def test_what_moves_a_cursor_is_written_as_an_escape() -> None:
    assert show_controls("a\x1b[1m \udcff\nb \u00a0é") == "a\\x1b[1m \\udcff\nb \u00a0é"

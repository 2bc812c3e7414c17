"""What a person sees while a command works."""

import io

from django.core.management.base import OutputWrapper

from config.console import ProgressReport


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

"""Tables that commands print for people."""

from collections.abc import Iterable, Sequence
from typing import IO, cast

from django.core.management.base import OutputWrapper
from rich.console import Console
from rich.table import Table


def build_console(stream: OutputWrapper) -> Console:
    """Return a console on a command's output that prints texts as they are."""
    return Console(file=cast(IO[str], stream), highlight=False, markup=False, width=100)


def build_table(title: str, headings: Sequence[str], rows: Iterable[Sequence[str]], *, words: int = 1) -> Table:
    """Return a table whose columns after the first `words` hold numbers and are set to the right."""
    table = Table(box=None, pad_edge=False, header_style="bold", title=title)
    for index, heading in enumerate(headings):
        table.add_column(heading, justify="left" if index < words else "right")
    for row in rows:
        table.add_row(*row)
    return table

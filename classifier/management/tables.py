"""Tables that commands print for people."""

from collections.abc import Sequence
from typing import IO, cast

from django.core.management.base import OutputWrapper
from rich.console import Console
from rich.table import Table


def print_table(
    stream: OutputWrapper,
    title: str,
    headings: Sequence[str],
    rows: Sequence[Sequence[str]],
    *,
    below: str,
    words: int = 1,
) -> None:
    """Print a table, left out where it has no rows, and a few lines below it.

    Columns after the first `words` hold numbers and are set to the right.
    """
    table = Table(box=None, pad_edge=False, header_style="bold", title=title)
    for index, heading in enumerate(headings):
        table.add_column(heading, justify="left" if index < words else "right")
    for row in rows:
        table.add_row(*row)
    console = Console(file=cast(IO[str], stream), highlight=False, markup=False, width=100)
    console.print(*([table] if rows else []), below)

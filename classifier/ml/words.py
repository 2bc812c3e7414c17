"""Numbers and tables as reports write them."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

UNKNOWN: Final = "-"
#: Stands for a share of nothing.
NONE: Final = "\N{EN DASH}"


def percent(share: float | None, *, digits: int = 1) -> str:
    """A share as the site writes it: 0.102 becomes "10.2 %", and one of nothing a dash."""
    return NONE if share is None else f"{100 * share:.{digits}f} %"


def write_share(share: Mapping[str, Any], *, digits: int = 1) -> str:
    """A measured share as JSON with its interval, "92.3 % (90.1 to 94.2)"; a dash where there were too few."""
    if share["value"] is None:
        return NONE
    low, high = (f"{100 * share[edge]:.{digits}f}" for edge in ("low", "high"))
    return f"{percent(share['value'], digits=digits)} ({low} to {high})"


def write_known(value: Any, spec: str) -> str:
    """The value in that format, or, for None, the sign for what an older artefact or a publication does not say."""
    return UNKNOWN if value is None else format(value, spec)


def write_table(columns: Sequence[str], rows: Iterable[Sequence[str]], *, words: int | None = None) -> str:
    """A Markdown table. Columns after the first ``words`` hold numbers and are set to the right; none without it."""
    rules = ["---" if words is None or index < words else "---:" for index in range(len(columns))]
    lines = [columns, rules, *rows]
    return "\n".join("| " + " | ".join(str(cell).replace("|", "\\|") for cell in line) + " |" for line in lines)

"""Numbers and tables as reports write them."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

UNKNOWN: Final = "-"
#: Stands for a share of nothing.
NONE: Final = "\N{EN DASH}"


def percent(share: float | None, *, digits: int = 1) -> str:
    """A share as the site writes it: 0.102 becomes "10.2 %", and one of nothing a dash."""
    return NONE if share is None else f"{100 * share:.{digits}f} %"


def write_share(share: Mapping[str, Any] | None, *, digits: int = 1) -> str:
    """A measured share, as JSON, with its interval: "92.3 % (90.1 to 94.2)"; a dash where there are too few."""
    if share is None or share["value"] is None:
        return NONE
    low, high = (f"{100 * share[edge]:.{digits}f}" for edge in ("low", "high"))
    return f"{percent(share['value'], digits=digits)} ({low} to {high})"


def write_fraction(share: Mapping[str, Any] | None, *, digits: int = 4) -> str:
    """The same as published tables have it: "0.9230 (0.9010 to 0.9420)"."""
    if share is None or share["value"] is None:
        return NONE
    value, low, high = (f"{share[name]:.{digits}f}" for name in ("value", "low", "high"))
    return f"{value} ({low} to {high})"


def write_known(value: Any, spec: str) -> str:
    """The value in that format, or, for None, the sign for what an older artefact or a publication does not say."""
    return UNKNOWN if value is None else format(value, spec)


def write_table(columns: Sequence[str], rows: Iterable[Sequence[str]], *, words: int | None = None) -> str:
    """A Markdown table. Columns after the first ``words`` hold numbers and are set to the right; none without it."""
    rules = ["---" if words is None or index < words else "---:" for index in range(len(columns))]
    lines = [columns, rules, *rows]
    return "\n".join("| " + " | ".join(str(cell).replace("|", "\\|") for cell in line) + " |" for line in lines)

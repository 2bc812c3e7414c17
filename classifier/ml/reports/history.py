"""The epochs of a training as a table."""

from collections.abc import Mapping, Sequence
from typing import Any

# Digits after the point in the table of epochs, where four say too much or too little.
DIGITS = {"size": 0, "seconds": 1, "learning_rate": 6}


def build_history(history: Sequence[Mapping[str, float]]) -> dict[str, Any]:
    """Return the columns and the rows of a table of epochs, values as texts; what one epoch lacks is a dash there."""
    columns = list(dict.fromkeys(name for row in history for name in row if name != "epoch"))
    rows = [
        (
            int(row.get("epoch", 0)),
            [f"{row[name]:.{DIGITS.get(name, 4)}f}" if name in row else "-" for name in columns],
        )
        for row in history
    ]
    return {"columns": [name.replace("_", " ") for name in columns], "rows": rows}

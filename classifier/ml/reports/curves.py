"""The epochs of a training: a table, and learning curves as small SVG drawings; made for each page that shows them."""

from collections.abc import Mapping, Sequence
from typing import Any, Final

from classifier.ml.words import percent

#: The size of a drawing in its own units.
WIDTH: Final = 300.0
HEIGHT: Final = 100.0
#: What is drawn: the title of a drawing, and the names in the history with their words in the legend.
DRAWINGS: Final = {
    "Loss": {"loss": "training", "validation_loss": "validation"},
    "Accuracy over groups": {"validation_accuracy": "validation"},
}
OLDER_LOSS: Final = {"validation_loss": "validation_garment_loss"}
#: Digits after the point in the table of epochs, where four say too much or too little.
DIGITS: Final = {"size": 0, "seconds": 1, "learning_rate": 6}


def tell_losses_apart(history: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """The rows, in which a loss of one name is one sum; new ones, the arguments are not changed.

    Artefacts from before say the validation loss over garments alone under the name of that over garments and groups.
    """
    return [
        dict(row)
        if "validation_garment_loss" in row
        else {OLDER_LOSS.get(name, name): value for name, value in row.items()}
        for row in history
    ]


def build_history(history: Sequence[Mapping[str, float]]) -> dict[str, Any]:
    """The ``columns`` and the ``rows`` of a table of epochs, values as texts, and the ``curves``.

    What one epoch lacks is a dash there. A drawing has each quantity that at least two epochs have; its last point is
    the last epoch.
    """
    history = tell_losses_apart(history)
    columns = list(dict.fromkeys(name for row in history for name in row if name != "epoch"))
    rows = [
        (
            int(row.get("epoch", 0)),
            [_write(row[name], name=name) if name in row else "-" for name in columns],
        )
        for row in history
    ]
    known = {name: [row[name] for row in history if name in row] for drawn in DRAWINGS.values() for name in drawn}
    curves = [
        _draw(title, series)
        for title, names in DRAWINGS.items()
        if (series := {words: known[name] for name, words in names.items() if len(known[name]) > 1})
    ]
    return {"columns": [name.replace("_", " ") for name in columns], "rows": rows, "curves": curves}


def _draw(title: str, series: Mapping[str, Sequence[float]]) -> dict[str, Any]:
    """The drawing: the values at its lower and upper edge, as texts, and the points of each line as SVG writes them."""
    lowest, highest = min(map(min, series.values())), max(map(max, series.values()))
    span = (highest - lowest) or 1.0
    lines = [
        {
            "words": words,
            "points": " ".join(
                f"{number * (WIDTH / (len(values) - 1)):.1f},{HEIGHT * (1 - (value - lowest) / span):.1f}"
                for number, value in enumerate(values)
            ),
        }
        for words, values in series.items()
    ]
    epochs = max(map(len, series.values()))
    edges = [_write(value, name=title.lower()) for value in (lowest, highest)]
    return {"title": title, "lines": lines, "lowest": edges[0], "highest": edges[1], "epochs": epochs}


def _write(value: float, *, name: str) -> str:
    """The value as the site writes it; shares, which are those called accuracy, in per cent."""
    return percent(value, digits=2) if "accuracy" in name else f"{value:.{DIGITS.get(name, 4)}f}"

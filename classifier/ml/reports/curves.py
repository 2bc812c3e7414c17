"""Learning curves as points of small SVG drawings, made for each page from the epochs so far."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

WIDTH, HEIGHT = 300.0, 100.0
#: What is drawn: the title of a drawing, and the names in the history with their words in the legend.
DRAWINGS = (
    ("Loss", (("loss", "training"), ("validation_loss", "validation"))),
    ("Accuracy over groups", (("validation_accuracy", "validation"),)),
)


@dataclass(frozen=True, slots=True)
class Line:
    """One line of a drawing: its words, and its points as SVG writes them."""

    words: str
    points: str


@dataclass(frozen=True, slots=True)
class Curve:
    """A drawing of `WIDTH` x `HEIGHT` units with the values at its lower and upper edge."""

    title: str
    lines: list[Line]
    lowest: float
    highest: float
    epochs: int


def build_curves(history: Sequence[Mapping[str, float]]) -> list[Curve]:
    """Return a drawing for each quantity that at least two epochs have; the last point is the last epoch."""
    curves = []
    for title, quantities in DRAWINGS:
        series = {words: [row[name] for row in history if name in row] for name, words in quantities}
        series = {words: values for words, values in series.items() if len(values) > 1}
        if not series:
            continue
        every = [value for values in series.values() for value in values]
        lowest, highest = min(every), max(every)
        lines = [Line(words, _build_points(values, lowest=lowest, highest=highest)) for words, values in series.items()]
        epochs = max(len(values) for values in series.values())
        curves.append(Curve(title=title, lines=lines, lowest=lowest, highest=highest, epochs=epochs))
    return curves


def _build_points(values: Sequence[float], *, lowest: float, highest: float) -> str:
    span = (highest - lowest) or 1.0
    step = WIDTH / (len(values) - 1)
    return " ".join(
        f"{number * step:.1f},{HEIGHT * (1 - (value - lowest) / span):.1f}" for number, value in enumerate(values)
    )

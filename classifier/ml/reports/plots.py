"""Plots as SVG, each drawn twice: in ink on light paper, and in light ink for dark pages.

Text stays text, the background is transparent, and the same values give the same bytes. The colours are those of
Okabe and Ito, which people with any colour vision tell apart.
"""

from __future__ import annotations

import io
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray


@dataclass(frozen=True, slots=True)
class Theme:
    """The colours of one page: ``series`` in the order in which they are used, ``ramp`` names a matplotlib map."""

    name: str
    ink: str
    faint: str
    grid: str
    series: tuple[str, ...]
    ramp: str


THEMES: Final = (
    Theme(name="light", ink="#1d1c1a", faint="#66625b", grid="#dcd8d0", series=("#0072b2", "#e69f00"), ramp="Blues"),
    Theme(name="dark", ink="#eceae6", faint="#a29e96", grid="#3a3c38", series=("#56b4e9", "#e69f00"), ramp="Blues_r"),
)
_WIDTH_INCHES: Final = 5.4
_STYLE: Final[dict[str, Any]] = {
    "svg.fonttype": "none",
    "svg.hashsalt": "plots",
    "font.family": "DejaVu Sans",
    "font.size": 11,
    "axes.titlesize": 12,
    "axes.titleweight": "bold",
    "axes.titlelocation": "left",
    "axes.spines.top": False,
    "axes.spines.right": False,
}


@dataclass(frozen=True, slots=True)
class Marker:
    """A vertical line at ``position`` with a few words beside it."""

    position: float
    text: str


def plot_bars(
    categories: Sequence[str],
    *,
    series: Mapping[str, Sequence[float]],
    title: str,
    axis: str,
    ranges: Mapping[str, Sequence[tuple[float, float]]] | None = None,
) -> dict[str, bytes]:
    """Horizontal bars, one for each category and series; ``ranges`` draws a line from low to high over a bar.

    ``axis`` names the value and its unit. Returns an SVG document for each theme's name.
    """
    height = 0.8 / len(series)

    def draw(axes: Axes, theme: Theme) -> None:
        places = np.arange(len(categories))
        for number, (name, values) in enumerate(series.items()):
            offset = (number - (len(series) - 1) / 2) * height
            axes.barh(places + offset, values, height=0.9 * height, color=theme.series[number], label=name, zorder=2)
            for place, (low, high) in zip(places, (ranges or {}).get(name, ()), strict=False):
                axes.plot([low, high], [place + offset] * 2, color=theme.ink, linewidth=1.2, zorder=3)
        axes.set_yticks(places, categories)
        axes.invert_yaxis()
        axes.xaxis.set_major_formatter(lambda value, _: f"{value:,.0f}")
        axes.grid(axis="x", color=theme.grid, zorder=0)

    return _render(draw, title=title, axes_labels=(axis, ""), height_inches=1.7 + 0.34 * len(categories))


def plot_histogram(
    counts: Mapping[str, NDArray[np.integer]],
    *,
    edges: NDArray[np.floating],
    markers: Sequence[Marker],
    title: str,
    axes_labels: tuple[str, str],
) -> dict[str, bytes]:
    """Stacked counts between ``edges`` on a logarithmic scale, one colour for each name; an SVG for each theme."""

    def draw(axes: Axes, theme: Theme) -> None:
        width = np.diff(edges)
        below = np.zeros(len(width))
        for number, (name, values) in enumerate(counts.items()):
            axes.bar(
                edges[:-1], values, width=0.92 * width, bottom=below, align="edge", color=theme.series[number],
                label=name, zorder=2,
            )  # fmt: skip
            below = below + values
        # The limits first: without any count there is nothing that a logarithmic scale could take them from.
        axes.set_ylim(0.8, max(10.0, 3 * float(below.max(initial=1))))
        axes.set_yscale("log")
        axes.yaxis.set_major_formatter(lambda value, _: f"{value:,.0f}")
        axes.grid(axis="y", color=theme.grid, zorder=0)
        for marker in markers:
            axes.axvline(marker.position, color=theme.ink, linestyle="--", linewidth=1.2, zorder=3)
            axes.annotate(
                marker.text, (marker.position, 0.98), xycoords=("data", "axes fraction"), xytext=(-5, 0),
                textcoords="offset points", color=theme.ink, va="top", ha="right", fontsize=10,
            )  # fmt: skip

    return _render(draw, title=title, axes_labels=axes_labels, height_inches=4.0)


@dataclass(frozen=True, slots=True)
class Line:
    """Points joined in their order; ``dots`` marks each, ``reference`` draws it dashed and faint."""

    name: str
    points: Sequence[tuple[float, float]]
    dots: bool = True
    reference: bool = False


def plot_lines(
    lines: Sequence[Line],
    *,
    title: str,
    axes_labels: tuple[str, str],
    percentages: tuple[bool, bool] = (False, False),
    from_zero: bool = True,
) -> dict[str, bytes]:
    """Lines over one pair of axes, a colour for each that is no reference; an SVG for each theme's name.

    ``percentages`` says of each axis whether its values are shares in 0..1. ``from_zero`` begins the upright axis at 0.
    """

    def draw(axes: Axes, theme: Theme) -> None:
        colours = iter(theme.series)
        for line in lines:
            axes.plot(
                [x for x, _ in line.points], [y for _, y in line.points],
                color=theme.faint if line.reference else next(colours), label=line.name, linewidth=1.6, markersize=4,
                linestyle="--" if line.reference else "-", marker="o" if line.dots else None,
                zorder=2 if line.reference else 3,
            )  # fmt: skip
        if from_zero:
            axes.set_ylim(bottom=0)
        for share, drawn in zip(percentages, (axes.xaxis, axes.yaxis), strict=True):
            if share:
                drawn.set_major_formatter(lambda value, _: f"{100 * value:.3g} %")
        axes.grid(color=theme.grid, zorder=0)

    return _render(draw, title=title, axes_labels=axes_labels, height_inches=4.2)


def plot_matrix(
    shares: NDArray[np.floating], *, names: Sequence[str], title: str, axes_labels: tuple[str, str], digits: int = 0
) -> dict[str, bytes]:
    """A square table of percentages, stronger in colour for more, with the number in each cell that is not 0.

    ``shares`` is float[N, N] in 0..1, a row for each name; the percentages are written with that many ``digits``.
    Returns an SVG document for each theme's name.
    """

    def draw(axes: Axes, theme: Theme) -> None:
        # The diagonal would drown the rest: colours are spread over the cells beside it.
        beside = shares[~np.eye(len(names), dtype=bool)]
        top = max(float(beside.max(initial=0.0)), 1e-9)
        axes.pcolormesh(
            np.minimum(shares, top), cmap=theme.ramp, vmin=0, vmax=top, edgecolors=theme.grid, linewidth=0.5
        )
        colours = mpl.colormaps[theme.ramp]
        for row, column in np.argwhere(np.rint(shares * 100 * 10**digits) > 0):
            red, green, blue, _ = colours(min(1.0, float(shares[row, column]) / top))
            dark = 0.299 * red + 0.587 * green + 0.114 * blue < 0.5
            axes.text(
                column + 0.5, row + 0.5, f"{100 * shares[row, column]:.{digits}f}", ha="center", va="center",
                fontsize=10, color="#ffffff" if dark else "#000000",
            )  # fmt: skip
        places = np.arange(len(names)) + 0.5
        axes.set_xticks(places, names, rotation=45, ha="right", rotation_mode="anchor")
        axes.set_yticks(places, names)
        axes.invert_yaxis()
        axes.set_aspect("equal")
        axes.tick_params(length=0)

    return _render(draw, title=title, axes_labels=axes_labels, height_inches=5.6)


def _render(
    draw: Callable[[Axes, Theme], None], *, title: str, axes_labels: tuple[str, str], height_inches: float
) -> dict[str, bytes]:
    documents = {}
    for theme in THEMES:
        with mpl.rc_context(_STYLE):  # type: ignore[arg-type]
            figure = Figure(figsize=(_WIDTH_INCHES, height_inches), layout="constrained")
            axes = figure.add_subplot()
            draw(axes, theme)
            figure.suptitle(title, x=0.01, ha="left", fontsize=12, fontweight="bold", color=theme.ink)
            axes.set_xlabel(axes_labels[0], color=theme.ink)
            axes.set_ylabel(axes_labels[1], color=theme.ink)
            axes.tick_params(colors=theme.ink)
            if axes.get_legend_handles_labels()[0]:
                figure.legend(frameon=False, labelcolor=theme.ink, loc="outside lower left", ncols=2)
            for spine in axes.spines.values():
                spine.set_color(theme.faint)
            target = io.BytesIO()
            figure.savefig(target, format="svg", transparent=True, metadata={"Date": None, "Creator": None})
        documents[theme.name] = _compact(target.getvalue())
    return documents


def _compact(document: bytes) -> bytes:
    """The same drawing in less than half the bytes, lettered in the reader's own font."""
    document = re.sub(rb"(\.\d\d)\d+", rb"\1", document)
    document = re.sub(rb"\n\s+", rb"\n", document)
    document = re.sub(rb" ?\n(?=[LC\"])", b"", document)
    document = re.sub(rb' transform="rotate\(-0 [^)]*\)"', b"", document)
    document = re.sub(rb"font-family: 'DejaVu Sans'[^;\"]*;? ?", b"", document)
    return document.replace(b"<svg ", b'<svg font-family="system-ui, sans-serif" ', 1)

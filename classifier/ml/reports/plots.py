"""Plots as SVG, each drawn twice: in ink on light paper, and in light ink for dark pages.

Text stays text, the background is transparent, and the same values give the same bytes. The colours are those of
Okabe and Ito, which people with any colour vision tell apart.
"""

import io
import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.rcsetup import cycler
from numpy.typing import NDArray


def _build_theme(ink: str, *, faint: str, grid: str, series: Sequence[str], ramp: str) -> dict[str, Any]:
    """Matplotlib's settings for one page: ``series`` in the order in which they are used, ``ramp`` names a map."""
    return {
        "svg.fonttype": "none",
        "svg.hashsalt": "plots",
        "font.family": "DejaVu Sans",
        "font.size": 11,
        "axes.spines.top": False,
        "axes.spines.right": False,
        "axes.edgecolor": faint,
        "axes.labelcolor": ink,
        "axes.prop_cycle": cycler(color=series),
        "figure.titlesize": 12,
        "figure.titleweight": "bold",
        "grid.color": grid,
        "image.cmap": ramp,
        "legend.frameon": False,
        "lines.markersize": 4,
        "text.color": ink,
        "xtick.color": ink,
        "ytick.color": ink,
    }


#: The settings by the theme's name.
THEMES: Final = {
    "light": _build_theme("#1d1c1a", faint="#66625b", grid="#dcd8d0", series=("#0072b2", "#e69f00"), ramp="Blues"),
    "dark": _build_theme("#eceae6", faint="#a29e96", grid="#3a3c38", series=("#56b4e9", "#e69f00"), ramp="Blues_r"),
}
_WIDTH_INCHES: Final = 5.4
#: What a drawing does without: digits, indentation, line breaks in paths, turns by nothing, the font of this machine.
_COMPACTED: Final = (
    (rb"(\.\d\d)\d+", rb"\1"),
    (rb"\n\s+", rb"\n"),
    (rb" ?\n(?=[LC\"])", b""),
    (rb' transform="rotate\(-0 [^)]*\)"', b""),
    (rb"font-family: 'DejaVu Sans'[^;\"]*;? ?", b""),
)


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

    def draw(axes: Axes) -> None:
        places = np.arange(len(categories))
        for number, (name, values) in enumerate(series.items()):
            offset = (number - (len(series) - 1) / 2) * height
            axes.barh(places + offset, values, height=0.9 * height, label=name, zorder=2)
            for place, ends in zip(places, (ranges or {}).get(name, ()), strict=False):
                axes.plot(ends, [place + offset] * 2, color=mpl.rcParams["text.color"], linewidth=1.2, zorder=3)
        axes.set_yticks(places, categories)
        axes.invert_yaxis()
        axes.xaxis.set_major_formatter(lambda value, _: f"{value:,.0f}")
        axes.grid(axis="x", zorder=0)

    return _render(draw, title=title, axes_labels=(axis, ""), height_inches=1.7 + 0.34 * len(categories))


def plot_histogram(
    counts: Mapping[str, NDArray[np.integer]],
    *,
    edges: NDArray[np.floating],
    marker: tuple[float, str],
    title: str,
    axes_labels: tuple[str, str],
) -> dict[str, bytes]:
    """Stacked counts between ``edges`` on a logarithmic scale, one colour for each name; an SVG for each theme.

    ``marker`` is the place of an upright line, and the few words beside it.
    """
    position, words = marker

    def draw(axes: Axes) -> None:
        width = np.diff(edges)
        below = np.zeros(len(width))
        for name, values in counts.items():
            axes.bar(edges[:-1], values, width=0.92 * width, bottom=below, align="edge", label=name, zorder=2)
            below = below + values
        # The limits first: without any count there is nothing that a logarithmic scale could take them from.
        axes.set_ylim(0.8, max(10.0, 3 * float(below.max(initial=1))))
        axes.set_yscale("log")
        axes.yaxis.set_major_formatter(lambda value, _: f"{value:,.0f}")
        axes.grid(axis="y", zorder=0)
        axes.axvline(position, color=mpl.rcParams["text.color"], linestyle="--", linewidth=1.2, zorder=3)
        axes.annotate(
            words, (position, 0.98), xycoords=("data", "axes fraction"), xytext=(-5, 0), textcoords="offset points",
            va="top", ha="right", fontsize=10,
        )  # fmt: skip

    return _render(draw, title=title, axes_labels=axes_labels, height_inches=4.0)


def plot_lines(
    lines: Mapping[str, Sequence[tuple[float, float]]],
    *,
    title: str,
    axes_labels: tuple[str, str],
    reference: str = "",
    shares: bool = False,
) -> dict[str, bytes]:
    """Lines through points (x, y) by name, a colour for each; an SVG for each theme's name.

    ``reference`` names the line that others are compared with: dashed and faint. ``shares`` says that the values of
    both axes lie in 0..1. The upright axis begins at 0.
    """

    def draw(axes: Axes) -> None:
        for name, points in lines.items():
            style: dict[str, Any] = (
                {"color": mpl.rcParams["axes.edgecolor"], "linestyle": "--", "zorder": 2}
                if name == reference
                else {"marker": "o", "zorder": 3}
            )
            axes.plot(*np.array(points).reshape(-1, 2).T, label=name, linewidth=1.6, **style)
        axes.set_ylim(bottom=0)
        for axis in (axes.xaxis, axes.yaxis) if shares else ():
            axis.set_major_formatter(lambda value, _: f"{100 * value:.3g} %")
        axes.grid(zorder=0)

    return _render(draw, title=title, axes_labels=axes_labels, height_inches=4.2)


def plot_bands(
    lines: Mapping[str, Sequence[tuple[float, float, float]]],
    *,
    places: Sequence[str],
    title: str,
    axes_labels: tuple[str, str],
) -> dict[str, bytes]:
    """Lines by name through shares (low, middle, high) at named places, with a band from low to high.

    Returns an SVG document for each theme's name. The upright axis ends where the bands do.
    """

    def draw(axes: Axes) -> None:
        for name, points in lines.items():
            low, middle, high = np.array(points, dtype=np.float64).reshape(-1, 3).T
            along = np.arange(len(middle))
            (line,) = axes.plot(along, middle, label=name, linewidth=1.6, marker="o", zorder=3)
            axes.fill_between(along, low, high, color=line.get_color(), alpha=0.2, linewidth=0, zorder=2)
        axes.set_xticks(np.arange(len(places)), places)
        axes.yaxis.set_major_formatter(lambda value, _: f"{100 * value:.3g} %")
        axes.grid(zorder=0)

    return _render(draw, title=title, axes_labels=axes_labels, height_inches=4.2)


def plot_matrix(
    counts: NDArray[np.integer], *, names: Sequence[str], title: str, axes_labels: tuple[str, str], digits: int = 0
) -> dict[str, bytes]:
    """A square table of the percentages of each row, 0 left out; an SVG for each theme.

    A cell's colour is its share: strongest at 100 %, whatever the others are.

    ``counts`` is int[N, N], a row for each name; the percentages are written with that many ``digits``.
    """
    shares = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)

    def draw(axes: Axes) -> None:
        cells = axes.pcolormesh(shares, vmin=0, vmax=1, edgecolors=mpl.rcParams["grid.color"], linewidth=0.5)
        luminance = cells.to_rgba(shares)[..., :3] @ (0.299, 0.587, 0.114)
        for row, column in np.argwhere(np.rint(shares * 100 * 10**digits) > 0):
            axes.text(
                column + 0.5, row + 0.5, f"{100 * shares[row, column]:.{digits}f}", ha="center", va="center",
                fontsize=10, color="#ffffff" if luminance[row, column] < 0.5 else "#000000",
            )  # fmt: skip
        places = np.arange(len(names)) + 0.5
        axes.set_xticks(places, names, rotation=45, ha="right", rotation_mode="anchor")
        axes.set_yticks(places, names)
        axes.invert_yaxis()
        axes.set_aspect("equal")
        axes.tick_params(length=0)

    return _render(draw, title=title, axes_labels=axes_labels, height_inches=5.6)


def _render(
    draw: Callable[[Axes], None], *, title: str, axes_labels: tuple[str, str], height_inches: float
) -> dict[str, bytes]:
    documents = {}
    for name, theme in THEMES.items():
        with mpl.rc_context(theme):  # type: ignore[arg-type]
            figure = Figure(figsize=(_WIDTH_INCHES, height_inches), layout="constrained")
            axes = figure.add_subplot(xlabel=axes_labels[0], ylabel=axes_labels[1])
            draw(axes)
            figure.suptitle(title, x=0.01, ha="left")
            if axes.get_legend_handles_labels()[0]:
                figure.legend(loc="outside lower left", ncols=2)
            target = io.BytesIO()
            figure.savefig(target, format="svg", transparent=True, metadata={"Date": None, "Creator": None})
        document = target.getvalue()
        # The same drawing in less than half the bytes, lettered in the reader's own font.
        for pattern, replacement in _COMPACTED:
            document = re.sub(pattern, replacement, document)
        documents[name] = document.replace(b"<svg ", b'<svg font-family="system-ui, sans-serif" ', 1)
    return documents

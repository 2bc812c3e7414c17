"""The page of figures over time: plots that are drawn here, and the same numbers in tables."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Any, NamedTuple

from django.contrib.auth.decorators import login_required, permission_required
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.views.decorators.http import require_safe
from rest_framework.exceptions import ValidationError

from classifier.ml.labels import GROUPS
from classifier.ml.words import percent, write_share
from classifier.monitoring.figures import BY_DAY, BY_VERSION, Figures, FiguresOverTime, find_figures, list_figures
from classifier.monitoring.figures_api import FiguresQuery
from config.web.queries import check_parameters, pick_parameters


class Bar(NamedTuple):
    """A part of a day's bar in a plot that is 100 high: where it begins from above, and what it stands for."""

    day: int
    top: float
    height: float
    kind: str


class Mark(NamedTuple):
    """Something that happened on a day: where it stands between the days, what it was, and how it is drawn."""

    place: float
    words: str
    kind: str


@dataclass(frozen=True, slots=True)
class Plot:
    """A drawing of days side by side, each 1 wide and all 100 high, and a table of the same.

    `lines` and `bands` are the points of an SVG. `top` says what the upper edge stands for.
    """

    title: str
    name: str
    sentence: str
    top: str
    columns: Sequence[str]
    rows: Sequence[Sequence[str]]
    bars: Sequence[Bar] = ()
    lines: Sequence[str] = ()
    bands: Sequence[str] = ()

    @property
    def is_empty(self) -> bool:
        """Whether there is nothing to draw."""
        return not (self.bars or self.lines)


@require_safe
@login_required
@permission_required("classifier.view_labelchange", raise_exception=True)
def figures(request: HttpRequest) -> HttpResponse:
    """Answer with the figures of the days that the address names."""
    parameters, _ = pick_parameters(FiguresQuery, request.GET)
    context: dict[str, Any] = {"first": parameters.get("from", ""), "last": parameters.get("to", "")}
    try:
        query = check_parameters(FiguresQuery, parameters)
    except ValidationError as error:
        return render(request, "classifier/figures.html", context | {"errors": error.detail}, status=400)
    first, last = FiguresQuery.get_days(query.validated_data)
    found = find_figures(first, last)
    context |= {
        "first": first.isoformat(),
        "last": last.isoformat(),
        "days": (last - first).days + 1,
        "found": found,
        "marks": list_marks(found),
        "plots": [draw_labels(found), draw_unsure(found), draw_failures(found), draw_mix(found), draw_accuracy(found)],
        "versions": list_versions(list_figures(first, last, by=(BY_VERSION,))),
        "query": f"from={first}&to={last}&by={BY_DAY}&by={BY_VERSION}",
    }
    return render(request, "classifier/figures.html", context)


def list_marks(found: FiguresOverTime) -> list[Mark]:
    """Return where versions came into production and alarms of drift were confirmed."""
    events = [(event.at, f"{event.version} in production", "") for event in found.activations]
    events += [(alarm.at, f"Alarm: {alarm.signal.lower()}", "alarm") for alarm in found.alarms]
    return [
        Mark((at.date() - found.first).days + (at.hour * 60 + at.minute) / 1440, words, kind)
        for at, words, kind in events
    ]


def list_versions(rows: Sequence[Figures]) -> list[tuple[str, ...]]:
    """Return the figures by version in words: name, labels, unsure, reviewed, failed."""
    return [
        (
            row.version or "No version",
            f"{row.labels:,}",
            percent(row.unsure_share),
            f"{row.reviewed:,}",
            f"{row.failed:,}",
        )
        for row in rows
    ]


def draw_labels(found: FiguresOverTime) -> Plot:
    """Return how many labels each day brought, sure ones, unsure ones and failures above each other."""
    highest = max((row.labels + row.failed for row in found.rows), default=0)
    parts = [
        (day, (("failed", row.failed), ("unsure", row.unsure), ("sure", row.labels - row.unsure)))
        for day, row in enumerate(found.rows)
    ]
    return Plot(
        title="Labels a day",
        name="labels",
        sentence="How many products got a label, each time anew; above the sure ones stand the unsure, and failures.",
        top=f"{highest:,}",
        columns=("Day", "Labels", "Unsure", "By people", "Failed"),
        rows=[
            (write_day(row), f"{row.labels:,}", f"{row.unsure:,}", f"{row.reviewed:,}", f"{row.failed:,}")
            for row in found.rows
        ],
        bars=[bar for day, numbers in parts for bar in stack(day, numbers, highest=highest)],
    )


def draw_unsure(found: FiguresOverTime) -> Plot:
    """Return which part of the machine's labels waited for a person."""
    return Plot(
        title="Unsure",
        name="unsure",
        sentence="The part of a machine's labels that wait for a person.",
        top="100 %",
        columns=("Day", "Unsure"),
        rows=[(write_day(row), percent(row.unsure_share)) for row in found.rows],
        lines=list(draw_steps([row.unsure_share for row in found.rows])),
    )


def draw_failures(found: FiguresOverTime) -> Plot:
    """Return what went wrong, by the error's code."""
    codes = sorted({code for row in found.rows for code in row.failures})
    highest = max((row.failed for row in found.rows), default=0)
    return Plot(
        title="Failures",
        name="failures",
        sentence="Products that were left without a label, whatever the error; the table tells the codes apart.",
        top=f"{highest:,}",
        columns=("Day", *codes),
        rows=[(write_day(row), *(f"{row.failures[code]:,}" for code in codes)) for row in found.rows],
        bars=[
            bar for day, row in enumerate(found.rows) for bar in stack(day, [("failed", row.failed)], highest=highest)
        ],
    )


def draw_mix(found: FiguresOverTime) -> Plot:
    """Return which part of each day's labels is of which group."""
    return Plot(
        title="Mix of groups",
        name="mix",
        sentence=f"Which part of a day's labels is of which group, from below: {', '.join(GROUPS)}.",
        top="100 %",
        columns=("Day", *GROUPS),
        rows=[(write_day(row), *(percent(row.share(group)) for group in GROUPS)) for row in found.rows],
        bars=[
            bar
            for day, row in enumerate(found.rows)
            for bar in stack(
                day,
                [(f"group-{place}", row.groups[group]) for place, group in reversed(list(enumerate(GROUPS, start=1)))],
                highest=row.groups.total(),
            )
        ],
    )


def draw_accuracy(found: FiguresOverTime) -> Plot:
    """Return how many labels were right by the audit of each day, with the interval around it."""
    told = {row.day: row for row in found.accuracies}
    shares = [told[row.day].accuracy if row.day in told else None for row in found.rows]
    return Plot(
        title="Accuracy by the audit",
        name="accuracy",
        sentence="How many labels were right by the answers until then, and the 95 % interval around it.",
        top="100 %",
        columns=("Day", "Version", "Right", "Answers"),
        rows=[
            (f"{row.day:%-d %b %Y}", row.model_version, write_share(row.accuracy.to_json()), f"{row.accuracy.count:,}")
            for row in found.accuracies
        ],
        lines=list(draw_steps([share.value if share else None for share in shares])),
        bands=list(
            draw_steps(
                [share.high if share else None for share in shares],
                below=[share.low if share else None for share in shares],
            )
        ),
    )


def write_day(row: Figures) -> str:
    """Return the row's day in words."""
    return f"{row.day:%-d %b %Y}"


def stack(day: int, numbers: Sequence[tuple[str, int]], *, highest: int) -> Iterator[Bar]:
    """Yield the parts of a day's bar, the uppermost first; a bar of the highest number is 100 high."""
    top = 100.0 - 100 * sum(number for _, number in numbers) / highest if highest else 100.0
    for kind, number in numbers:
        if number:
            height = 100 * number / highest
            yield Bar(day, top, height, kind)
            top += height


def draw_steps(shares: Sequence[float | None], *, below: Sequence[float | None] = ()) -> Iterator[str]:
    """Yield the points of a line for each run of days with a share; with `below`, of the area between both."""
    days = range(len(shares))
    has_share: Callable[[int], bool] = lambda day: shares[day] is not None  # noqa: E731  (for groupby)
    for is_known, run in groupby(days, key=has_share):
        if is_known:
            found = list(run)
            edges = [(found, shares), *([(found[::-1], below)] if below else [])]
            yield " ".join(
                f"{place},{100 - 100 * (values[day] or 0.0):.2f}"
                for order, values in edges
                for day in order
                for place in ((day, day + 1) if order is found else (day + 1, day))
            )

"""What the start page says of the whole catalogue, counted once for many requests."""

from collections import Counter
from dataclasses import asdict, dataclass
from datetime import date, datetime, timedelta
from typing import Any

from django.utils import timezone

from catalog.labels import WITHOUT_ROW, count_labels
from catalog.models import Product, ProductLabel
from classifier.ml.labels import GROUPS
from config.cached_counts import count_or_keep, get_cached_count

Status = ProductLabel.Status

CACHE_KEY = "catalogue-tallies"
#: The counts of one moment are shown this long at least, and 50 times as long as the counting took, so that it takes at
#: most a fiftieth of one process.
FRESH_SECONDS = 5.0
FRESH_TIMES = 50.0
CACHED_SECONDS = 3600.0
#: Products are counted up to here; beyond, there are as many as labels.
COUNTED_EXACTLY = 100_000
DAYS, WEEKS = 14, 12


@dataclass(frozen=True, slots=True)
class Period:
    """A day or a week that begins at `first`, and how many of its labels are of each group."""

    first: date
    groups: dict[str, int]

    @property
    def total(self) -> int:
        """The labels of all groups."""
        return sum(self.groups.values())

    def share(self, group: str) -> float:
        """The group's part of the labels, 0..1; 0 without any."""
        return self.groups[group] / self.total if self.total else 0.0


@dataclass(frozen=True, slots=True)
class CatalogueSummary:
    """The catalogue at one moment.

    `cells` are the numbers of products by status and group, which is empty where they have none. `periods` are the last
    days or weeks by when the current labels were given, the newest last; `period_name` says which.
    """

    counted_at: datetime
    products: int
    cells: list[tuple[str, str, int]]
    period_name: str
    periods: list[Period]

    @property
    def statuses(self) -> dict[str, int]:
        """The products of each status."""
        return {status: sum(number for of, _, number in self.cells if of == status) for status in Status.values}

    @property
    def groups(self) -> dict[str, int]:
        """The products of each group."""
        return {group: sum(number for _, of, number in self.cells if of == group) for group in GROUPS}

    @property
    def placeholders(self) -> int:
        """Those that need review and have no group at all, since their picture is none of theirs."""
        return sum(number for status, group, number in self.cells if (status, group) == (Status.NEEDS_REVIEW, ""))


def get_catalogue_summary() -> CatalogueSummary | None:
    """Return the catalogue's counts: those of a moment ago where they are fresh enough, else counted now.

    While one request counts, the others get what was counted before, and so do all where the database ended the
    counting after the time that a page's statement may take; None if nothing was counted before.
    """
    return _from_json(
        get_cached_count(
            CACHE_KEY,
            count=lambda known: count_or_keep(lambda: _to_json(count_catalogue()), known, what="the catalogue"),
            fresh_seconds=FRESH_SECONDS,
            fresh_times=FRESH_TIMES,
            timeout_seconds=CACHED_SECONDS,
        )
    )


def count_catalogue() -> CatalogueSummary:
    """Count the catalogue in one query, two for a small one."""
    cells: Counter[tuple[str, str]] = Counter()
    days: Counter[tuple[date, str]] = Counter()
    for status, group, day, number in count_labels():
        cells[status, group] += number
        if group and day is not None:
            days[day, group] += number
    # What other programs added a moment ago has no row yet: seen where all products are counted.
    if cells.total() <= COUNTED_EXACTLY:
        counted = Product.objects.order_by()[: COUNTED_EXACTLY + 1].count()
        cells[WITHOUT_ROW, ""] += max(0, counted - cells.total())
    period_name, periods = build_periods(days, today=timezone.now().date())
    return CatalogueSummary(
        counted_at=timezone.now(),
        products=cells.total(),
        cells=[(status, group, number) for (status, group), number in cells.items() if number],
        period_name=period_name,
        periods=periods,
    )


def count_by_status_and_group() -> list[tuple[str, str, int]]:
    """Return (status, group, number) of all labels, in one query.

    Products that other programs added a moment ago have no label yet, and are not counted.
    """
    cells: Counter[tuple[str, str]] = Counter()
    for status, group, _, number in count_labels():
        cells[status, group] += number
    return [(status, group, number) for (status, group), number in cells.items() if number]


def build_periods(days: Counter[tuple[date, str]], *, today: date) -> tuple[str, list[Period]]:
    """Return "day" or "week" and the last of them up to today, or no periods while all labels are of one.

    Days when every label is of the last `DAYS` days, otherwise weeks, which begin on Monday.
    """
    first = min((day for day, _ in days), default=today)
    name, step, count = ("day", 1, DAYS) if first > today - timedelta(days=DAYS) else ("week", 7, WEEKS)
    last = today - timedelta(days=today.weekday()) if name == "week" else today
    beginnings = [last - timedelta(days=step * number) for number in reversed(range(count))]
    periods = [Period(first=beginning, groups=dict.fromkeys(GROUPS, 0)) for beginning in beginnings]
    for (day, group), number in days.items():
        index = (day - beginnings[0]).days // step
        if 0 <= index < count:
            periods[index].groups[group] += number
    return name, periods if sum(period.total > 0 for period in periods) > 1 else []


def _to_json(summary: CatalogueSummary) -> dict[str, Any]:
    periods = [{"first": period.first.isoformat(), "groups": period.groups} for period in summary.periods]
    return asdict(summary) | {"counted_at": summary.counted_at.isoformat(), "periods": periods}


def _from_json(value: dict[str, Any] | None) -> CatalogueSummary | None:
    if value is None:
        return None
    periods = [Period(date.fromisoformat(period["first"]), period["groups"]) for period in value["periods"]]
    cells = [tuple(cell) for cell in value["cells"]]
    counted_at = datetime.fromisoformat(value["counted_at"])
    return CatalogueSummary(**value | {"counted_at": counted_at, "cells": cells, "periods": periods})

"""How many labels of each kind every day brought: counted once from the history, and the rest of it when asked."""

import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, fields
from datetime import UTC, date
from typing import Any

from django.db import transaction
from django.db.models import Count, IntegerField, QuerySet, Subquery, Sum, Value
from django.db.models.functions import Coalesce

from catalog.labels import Day
from classifier.models import LabelChange, LabelCount, LabelCounting
from config.db.bulk import insert_or_update_rows
from config.db.commit_order import get_settled_id

#: Changes that one transaction counts.
STEP_SIZE = 100_000


@dataclass(frozen=True, slots=True)
class Kind:
    """What a day's labels are counted by; the version 0 is none."""

    day: date
    version_id: int
    status: str
    source: str
    reason: str
    group: str


_KIND = tuple(field.name for field in fields(Kind))


def count_changes(*, seconds: float, size: int = STEP_SIZE) -> int:
    """Count changes that are not counted yet, for this long at most; return how many ids were passed."""
    started, passed = time.monotonic(), 0
    while True:
        step = _count_next(size)
        passed += step
        if not step or time.monotonic() - started > seconds:
            return passed


def _count_next(size: int) -> int:
    LabelCounting.objects.get_or_create(pk=1)
    with transaction.atomic():
        # Whoever comes second finds nothing to do, or what the first one left.
        row = LabelCounting.objects.select_for_update(skip_locked=True).filter(pk=1).first()
        if row is None:
            return 0
        until = min(get_settled_id(LabelChange), row.after + size)
        if until <= row.after:
            return 0
        counts: Counter[tuple[Any, ...]] = Counter()
        for *kind, number in _group(LabelChange.objects.filter(pk__gt=row.after, pk__lte=until)):
            counts[tuple(kind)] += number
        known = LabelCount.objects.filter(day__in={kind[0] for kind in counts}).values_list(*_KIND, "number")
        for *kind, number in known:
            if tuple(kind) in counts:
                counts[tuple(kind)] += number
        insert_or_update_rows(
            LabelCount, fields=(*_KIND, "number"), rows=[(*kind, number) for kind, number in counts.items()], key=6
        )
        LabelCounting.objects.filter(pk=1).update(after=until)
    return until - row.after


def list_day_counts(first: date, last: date) -> Iterator[tuple[Kind, int]]:
    """Yield how many labels of each kind the days from `first` to `last` brought; a kind may come twice. One query.

    It is what the history says at this moment: what is not counted yet is counted here.
    """
    stored = LabelCount.objects.filter(day__gte=first, day__lte=last).values_list(*_KIND, "number")
    rest = _group(_list_rest()).filter(day__gte=first, day__lte=last)
    for *kind, number in stored.union(rest, all=True):
        yield Kind(*kind), number


def count_all_changes() -> Counter[tuple[str, str, str]]:
    """Return how often a label became what it says, since ever, by status, source and reason; in one query."""
    stored = LabelCount.objects.order_by().values_list("status", "source", "reason").annotate(number_of=Sum("number"))
    rest = _list_rest().order_by().values_list("new_status", "new_source", "new_reason").annotate(number_of=Count("pk"))
    counts: Counter[tuple[str, str, str]] = Counter()
    for status, source, reason, number in stored.union(rest, all=True):
        counts[status, source, reason] += number
    return counts


def _group(changes: QuerySet[LabelChange]) -> QuerySet[Any]:
    """Return the numbers of changes by what `Kind` has."""
    version = Coalesce("new_version_id", Value(0), output_field=IntegerField())
    days = changes.order_by().annotate(day=Day("at", tzinfo=UTC), version_id=version)
    kinds = days.values_list("day", "version_id", "new_status", "new_source", "new_reason", "new_group")
    found: QuerySet[Any] = kinds.annotate(number=Count("pk"))
    return found


def _list_rest() -> QuerySet[LabelChange]:
    """Return what is not counted yet."""
    counted = LabelCounting.objects.filter(pk=1).values("after")
    return LabelChange.objects.filter(pk__gt=Coalesce(Subquery(counted), 0))

"""How many products of a list are of each status and group: from the catalogue's counts, or counted up to a limit."""

from collections.abc import Collection, Mapping
from dataclasses import asdict, dataclass, replace
from functools import partial
from hashlib import sha256
from typing import Any, Final

from django.db.models import Count

from catalog.browse.filters import ProductCriteria
from catalog.browse.listing import list_labelled_products
from catalog.browse.summary import get_catalogue_summary
from catalog.models import ProductLabel
from config.cached_counts import count_or_keep, get_cached_count

#: Products of a filtered list are counted up to here.
COUNTED: Final = 10_000
#: A list is counted anew after this many times what counting it took, so that who marks products sees it at once.
FRESH_TIMES: Final = 50.0
CACHED_SECONDS: Final = 300.0


@dataclass(frozen=True, slots=True)
class ListCounts:
    """What a list with certain criteria has; None is not known. `at_least` is what was counted where more was not.

    A status's number is that of the list with that status alone, and a group's likewise.
    """

    total: int | None = None
    at_least: int = 0
    statuses: Mapping[str, int] | None = None
    groups: Mapping[str, int] | None = None

    @property
    def words(self) -> str:
        """How many products the list has, in words; empty where nobody knows."""
        if self.total is not None:
            return f"{self.total:,} product{'' if self.total == 1 else 's'}"
        return f"At least {self.at_least:,} products" if self.at_least else ""


def count_list(criteria: ProductCriteria, *, limit: int = COUNTED) -> ListCounts:
    """Return the counts of the list with these criteria, made a moment ago; at most two queries where they are not.

    None of them counts more products than `limit`, or than the start page does.
    """
    others = replace(criteria, group=(), status=(), country="us", ordering="id")
    if "confidence" not in criteria.ordering and others == ProductCriteria():
        summary = get_catalogue_summary()
        return _build_counts(criteria, summary.cells) if summary else ListCounts()
    # An order by confidence has fewer products; which way it goes makes no difference.
    others = replace(others, ordering="confidence" if "confidence" in criteria.ordering else "id")
    cells = get_cached_count(
        f"list-counts-{limit}-{sha256(repr(asdict(others)).encode()).hexdigest()}",
        count=lambda known: count_or_keep(partial(_count_cells, others, limit=limit), known, what="a list"),
        fresh_seconds=0.0,
        fresh_times=FRESH_TIMES,
        timeout_seconds=CACHED_SECONDS,
    )
    if cells is None:
        return ListCounts()
    counts = _build_counts(criteria, cells)
    is_complete = sum(number for _, _, number in cells) <= limit
    return counts if is_complete else ListCounts(at_least=min(limit, counts.total or 0))


def _count_cells(criteria: ProductCriteria, *, limit: int) -> list[list[Any]]:
    """Count the first products by status and group."""
    # PostgreSQL is asked here already what a search finds.
    products = list_labelled_products(criteria).order_by().values("pk")[: limit + 1]
    rows = ProductLabel.objects.filter(product__in=products).order_by().values_list("status", "group")
    return [list(row) for row in rows.annotate(number=Count("pk"))]


def _build_counts(criteria: ProductCriteria, cells: Collection[tuple[str, str, int]]) -> ListCounts:
    """Return the counts that follow from (status, group, number): of a choice, what it has with the other choices."""
    statuses: dict[str, int] = {}
    groups: dict[str, int] = {}
    total = 0
    for status, group, number in cells:
        has_status = not criteria.status or status in criteria.status
        has_group = not criteria.group or group in criteria.group
        statuses[status] = statuses.get(status, 0) + number * has_group
        groups[group] = groups.get(group, 0) + number * has_status
        total += number * (has_status and has_group)
    return ListCounts(total=total, statuses=statuses, groups=groups)

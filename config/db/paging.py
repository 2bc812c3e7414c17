"""Pages of long lists: by signed keyset cursors for readers, by capped numbers for the admin. No table is counted."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cached_property
from operator import attrgetter
from typing import Any, Final, Protocol

from django.core import signing
from django.core.paginator import Paginator
from django.db import connection
from django.db.models import Model, Q, QuerySet, Value

CURSOR_SALT = "catalog.paging.cursor"


class InvalidCursorError(ValueError):
    """A cursor that we did not sign, or signed for another ordering."""


@dataclass(frozen=True, slots=True)
class Walk:
    """How a list goes on: `id_field` is the column that has the id.

    A list that goes `by_id`, and by nothing else, begins at the id `start` or behind it; None where nothing is known.
    """

    id_field: str = "pk"
    by_id: bool = False
    descending: bool = False
    start: int | None = None

    def reaches(self, number: int) -> bool:
        """Return whether a row with this id is not before the start."""
        return self.start is None or (number <= self.start if self.descending else number >= self.start)


#: The walk of rows of which nothing is known but that they have an id.
BY_NOTHING: Final = Walk()


@dataclass(frozen=True, slots=True)
class KeysetOrdering:
    """An ordering by `fields` (lookups such as ``label__confidence``), the last of which is unique.

    Rows without a value in one of the fields have no place in it; leave them out of the queryset.
    """

    name: str
    fields: tuple[str, ...]
    descending: bool = False

    def order_by(self, *, reverse: bool) -> list[str]:
        """Return the arguments of `QuerySet.order_by`."""
        sign = "-" if self.descending != reverse else ""
        return [sign + field for field in self.fields]

    def beyond(self, values: list[Any], *, reverse: bool) -> Q:
        """Return the condition for rows after the one with these values (before it when `reverse`)."""
        comparison = "lt" if self.descending != reverse else "gt"
        condition = Q(**{f"{self.fields[-1]}__{comparison}": values[-1]})
        for field, value in reversed(list(zip(self.fields[:-1], values[:-1], strict=True))):
            # Equivalent to `field beyond value OR (field = value AND condition)`, but the first factor is a range on
            # the leading column, which is what lets PostgreSQL start inside the index.
            least, most = _get_bounds(value)
            strict, loose = (least, most) if comparison == "lt" else (most, least)
            condition = Q(**{f"{field}__{comparison}e": loose}) & (Q(**{f"{field}__{comparison}": strict}) | condition)
        return condition

    def get_walk(self, values: list[Any] | None, *, reverse: bool) -> Walk:
        """Return how a list goes on from these values, or from its beginning; the last of the fields is the id."""
        by_id = len(self.fields) == 1
        return Walk(
            id_field=self.fields[-1],
            by_id=by_id,
            descending=self.descending != reverse,
            start=values[-1] if values and by_id else None,
        )

    def values_of(self, row: Model) -> list[Any]:
        """Return the row's values of the fields, as JSON knows them: times as text, to the microsecond."""
        values = [attrgetter(field.replace("__", "."))(row) for field in self.fields]
        return [value.isoformat() if isinstance(value, datetime) else value for value in values]


def _get_bounds(value: Any) -> tuple[Any, Any]:
    """Return the least and the most that a column of a row with this value holds.

    They differ on SQLite, which compares times as text and has them as Python writes them, or, by its own clock, with
    three digits behind the second.
    """
    if connection.vendor != "sqlite" or not isinstance(value, str):
        return value, value
    time = datetime.fromisoformat(value).astimezone(UTC).replace(tzinfo=None)
    texts = [str(time)] if time.microsecond % 1000 else [str(time), time.isoformat(" ", "milliseconds")]
    return Value(min(texts)), Value(max(texts))


@dataclass(frozen=True, slots=True)
class Page:
    """The rows of one page, and the cursors of its neighbours; None where there is no neighbour."""

    rows: list[Any]
    next_cursor: str | None
    previous_cursor: str | None


class Search(Protocol):
    """A condition that is met by looking at the beginning of a list, or through an index, whichever is less work."""

    def find_first(self, queryset: QuerySet[Any], /, *, count: int, walk: Walk) -> list[Any]:
        """Return the first `count` rows of the ordered queryset that meet it; `walk` says how it is ordered."""


def get_page(
    queryset: QuerySet[Any],
    *,
    ordering: KeysetOrdering,
    page_size: int,
    cursor: str = "",
    search: Search | None = None,
    beside: Sequence[QuerySet[Any]] = (),
) -> Page:
    """Return the page that the cursor points at (the first without one), at the cost of one query.

    With a `search` the page has those of the rows that meet it, at the cost that the search says. The rows of the
    querysets `beside` it, which have the ordering's fields too, stand among its own, at the cost of one query each. A
    row that is added or removed meanwhile neither repeats nor hides another. Raises `InvalidCursorError`.
    """
    backwards, values = _read_cursor(cursor, ordering=ordering) if cursor else (False, None)
    # One row more than asked for tells whether there is another page.
    count = page_size + 1
    rows = _find_rows(queryset, ordering=ordering, values=values, backwards=backwards, count=count, search=search)
    if beside:
        for source in beside:
            rows += _find_rows(source, ordering=ordering, values=values, backwards=backwards, count=count)
        rows.sort(key=ordering.values_of, reverse=ordering.descending != backwards)
    has_more = len(rows) > page_size
    rows = rows[:page_size]
    if backwards:
        rows.reverse()
    has_next = bool(rows) and (backwards or has_more)
    has_previous = bool(rows) and (has_more if backwards else values is not None)
    return Page(
        rows=rows,
        next_cursor=write_cursor(ordering, values=ordering.values_of(rows[-1]), backwards=False) if has_next else None,
        previous_cursor=(
            write_cursor(ordering, values=ordering.values_of(rows[0]), backwards=True) if has_previous else None
        ),
    )


def find_adjacent_rows(
    queryset: QuerySet[Any], *, ordering: KeysetOrdering, place: str, search: Search | None = None
) -> tuple[Any | None, Any | None]:
    """Return the rows before and behind a place that `write_cursor` wrote; None where there is none.

    Each costs what a page of one row does. The row whose place it is may be gone, or in no such list any more. Raises
    `InvalidCursorError`.
    """
    _, values = _read_cursor(place, ordering=ordering)
    before, behind = (
        _find_rows(queryset, ordering=ordering, values=values, backwards=backwards, count=1, search=search)
        for backwards in (True, False)
    )
    return (before or [None])[0], (behind or [None])[0]


def _find_rows(
    queryset: QuerySet[Any],
    *,
    ordering: KeysetOrdering,
    values: list[Any] | None,
    backwards: bool,
    count: int,
    search: Search | None = None,
) -> list[Any]:
    """Return the first rows beyond these values, or from the list's beginning; from its end when `backwards`."""
    beyond = Q() if values is None else ordering.beyond(values, reverse=backwards)
    rows = queryset.filter(beyond).order_by(*ordering.order_by(reverse=backwards))
    if search is None:
        return find_first_rows(rows, count=count)
    return search.find_first(rows, count=count, walk=ordering.get_walk(values, reverse=backwards))


def find_first_rows(queryset: QuerySet[Any], *, count: int) -> list[Any]:
    """Return the first rows of an ordered queryset, in one query that chooses them before it joins anything to them.

    PostgreSQL would otherwise merge the list with a joined table from its beginning, however far the page is.
    """
    return list(queryset.filter(pk__in=queryset.values("pk")[:count]))


def write_cursor(ordering: KeysetOrdering, values: list[Any], *, backwards: bool = False) -> str:
    """Return the place of a row with these values in an order: a cursor that points at what stands beyond it."""
    return signing.Signer(salt=CURSOR_SALT).sign_object([ordering.name, backwards, values])


def _read_cursor(cursor: str, *, ordering: KeysetOrdering) -> tuple[bool, list[Any]]:
    try:
        name, backwards, values = signing.Signer(salt=CURSOR_SALT).unsign_object(cursor)
    except signing.BadSignature as error:
        raise InvalidCursorError("Expected a cursor from one of our own links.") from error
    if name != ordering.name:
        raise InvalidCursorError(f"Expected a cursor of the ordering {ordering.name}; received one of {name}.")
    return backwards, values


class CappedPaginator(Paginator):
    """Numbered pages that look at no more than the first `maximum` rows, whatever the size of the table.

    What lies beyond is reached by a filter or a search.
    """

    object_list: QuerySet[Any]
    maximum = 10_000

    @cached_property
    def count(self) -> int:
        """The number of rows, or `maximum` if there are more."""
        return self.object_list.order_by()[: self.maximum].count()


NEWEST_FIRST = KeysetOrdering("-id", ("pk",), descending=True)

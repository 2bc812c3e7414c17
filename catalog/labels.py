"""The current label of each product, as a fact of the catalogue: how it is read, and whom to tell of a change.

How a label comes about is decided elsewhere: whoever decides, and keeps the history, registers that here when the site
starts, as a project registers an admin of its own. Every write of the catalogue calls `refresh_labels` inside its
transaction. What other programs wrote past it is found later; until then a product has no row.
"""

from collections.abc import Callable, Collection, Iterator, Mapping, Set
from dataclasses import dataclass
from datetime import UTC, date, datetime
from typing import Any, Final, Protocol

from django.db import connection, transaction
from django.db.models import Count, F, FilteredRelation, Q, QuerySet, Sum
from django.db.models.functions import TruncDate

from catalog.models import LabelTally, Product, ProductLabel

Status = ProductLabel.Status

#: What a missing row means, wherever one is looked for: nobody has looked at the product yet.
WITHOUT_ROW: Final = Status.PENDING

#: Rows of one kind from which on they become one: a few more cost a reader nothing.
_FOLDED_FROM: Final = 16
_FOLD: Final = """
    WITH many AS (SELECT status, "group", day FROM catalog_labeltally GROUP BY 1, 2, 3 HAVING count(*) >= %s),
         gone AS (DELETE FROM catalog_labeltally AS tally USING many
                  WHERE (tally.status, tally."group") = (many.status, many."group")
                  AND tally.day IS NOT DISTINCT FROM many.day
                  RETURNING tally.status, tally."group", tally.day, number)
    INSERT INTO catalog_labeltally (status, "group", day, number)
    SELECT status, "group", day, sum(number) FROM gone GROUP BY 1, 2, 3 HAVING sum(number) <> 0"""
_RECOUNT: Final = """
    INSERT INTO catalog_labeltally (status, "group", day, number)
    SELECT status, "group", day, sum(number) FROM (
        SELECT status, "group", (labelled_at AT TIME ZONE 'UTC')::date AS day, count(*) AS number
        FROM classifier_productlabel GROUP BY 1, 2, 3
        UNION ALL SELECT status, "group", day, -number FROM catalog_labeltally
    ) AS both_ways GROUP BY 1, 2, 3 HAVING sum(number) <> 0"""


def describe_garment(garment: str | None, *, unsure: bool) -> str:
    """Return the garment in words, empty without one."""
    return f"{garment}, not sure" if garment and unsure else garment or ""


@dataclass(frozen=True, slots=True)
class LabelSummary:
    """A product's current label; there is one for every product, with None where nothing is known."""

    status: str
    group: str | None = None
    garment: str | None = None
    garment_unsure: bool = False
    confidence: float | None = None
    source: str | None = None
    reason: str = ""
    evidence: str = ""
    model_version: str | None = None
    labelled_at: datetime | None = None

    @property
    def status_name(self) -> str:
        """The status in words."""
        return str(Status(self.status).label)

    @property
    def garment_words(self) -> str:
        """The garment in words; empty without one."""
        return describe_garment(self.garment, unsure=self.garment_unsure)


def get_label_summary(product: Product) -> LabelSummary:
    """Return the product's label; no query where the product came with its label and the label's version."""
    label: ProductLabel | None = getattr(product, "label", None)
    if label is None:
        return LabelSummary(status=WITHOUT_ROW)
    return LabelSummary(
        status=label.status,
        group=label.group or None,
        garment=label.garment or None,
        garment_unsure=label.garment_unsure,
        confidence=label.confidence,
        source=label.source or None,
        reason=label.reason,
        evidence=name_evidence(label.evidence, source=label.source),
        model_version=label.model_version.name if label.model_version else None,
        labelled_at=label.labelled_at,
    )


def name_evidence(evidence: str, *, source: str) -> str:
    """Return on what a label stands, as readers see it: empty of a person's, and where there is none."""
    return evidence or (ProductLabel.Evidence.PICTURE if source == ProductLabel.Source.MACHINE else "")


def match_evidence(values: Collection[str], *, path: str = "") -> Q:
    """Return the condition that a label stands on one of these; `path` leads to it, as "label__" from a product."""
    stored = ["" if value == ProductLabel.Evidence.PICTURE else value for value in values]
    return Q(**{f"{path}source": ProductLabel.Source.MACHINE, f"{path}evidence__in": stored})


def with_first_image(products: QuerySet[Product]) -> QuerySet[Any]:
    """Annotate `first_image_id`, the image with index 0, or None."""
    first = FilteredRelation("product_images", condition=Q(product_images__image_index=0))
    annotated: QuerySet[Any] = products.annotate(first=first).annotate(first_image_id=F("first__image_id"))
    return annotated


class Refresh(Protocol):
    """What brings the labels of products up to date; see `refresh_labels`."""

    def __call__(self, product_ids: Collection[int], *, created: Set[int]) -> int: ...


class History(Protocol):
    """What knows the labels that products had; see `find_labels_as_of`."""

    def __call__(self, product_ids: Collection[int], at: datetime, /) -> Mapping[int, LabelSummary]: ...


_refresh: Refresh
_remove: Callable[[Collection[int]], None]
_history: History


def register_decision(*, refresh: Refresh, remove: Callable[[Collection[int]], None], history: History) -> None:
    """Let `refresh` write the labels of products, `remove` take away those of products that go, and `history` say which
    labels products had.
    """
    global _refresh, _remove, _history
    _refresh, _remove, _history = refresh, remove, history


def refresh_labels(product_ids: Collection[int], *, created: Set[int] = frozenset()) -> int:
    """Bring the labels of these products up to date; return how many changed.

    Call it inside the transaction that changed the products, their images or texts, after the change. Of those that
    are known to be `created` there nobody else can have written anything, which makes them cheaper.
    """
    return _refresh(product_ids, created=created) if product_ids else 0


def remove_labels(product_ids: Collection[int]) -> None:
    """Remove the labels of products that are about to be deleted; call it inside that transaction, before."""
    if product_ids:
        _remove(product_ids)


class Day(TruncDate):
    """The day of a time in UTC, computed by SQLite itself: Django's own function costs it a call of Python per row."""

    def as_sqlite(self, compiler, connection, **context):  # type: ignore[no-untyped-def]  # as Django's own
        """Return the SQL and its parameters."""
        sql, parameters = compiler.compile(self.lhs)
        return f"date({sql})", parameters


def count_labels() -> Iterator[tuple[str, str, date | None, int]]:
    """Yield (status, group, day in UTC, number of products) of all labels; one query.

    PostgreSQL adds up tallies, however many labels there are. Others read every label. Products that other programs
    added a moment ago have no label yet, and are not counted.
    """
    if connection.vendor == "postgresql":
        yield from LabelTally.objects.order_by().values_list("status", "group", "day").annotate(of=Sum("number"))
        return
    labels = ProductLabel.objects.order_by().values_list("status", "group", Day("labelled_at", tzinfo=UTC))
    yield from labels.annotate(number=Count("pk"))


def fold_tallies() -> None:
    """Let the tallies of a kind become one where there are many; harmless at any time, and from several at once."""
    if connection.vendor == "postgresql":
        with connection.cursor() as cursor:
            cursor.execute(_FOLD, [_FOLDED_FROM])


def recount_tallies() -> int:
    """Count all labels, and correct the tallies; return how many kinds were wrong.

    One statement sees labels and tallies of one moment, whatever is written meanwhile. Wrong are tallies after rows
    were written without triggers.
    """
    if connection.vendor != "postgresql":
        return 0
    with transaction.atomic(), connection.cursor() as cursor:
        # Of two recounts the second one sees what the first one corrected; nobody else waits.
        cursor.execute("LOCK TABLE catalog_labeltally IN SHARE UPDATE EXCLUSIVE MODE")
        cursor.execute(_RECOUNT)
        return int(cursor.rowcount)


def find_labels_as_of(product_ids: Collection[int], at: datetime) -> Mapping[int, LabelSummary]:
    """Return the label that each of these products had at that time; *pending* before anything was known."""
    known = _history(product_ids, at) if product_ids else {}
    return {pk: known.get(pk) or LabelSummary(status=Status.PENDING) for pk in product_ids}

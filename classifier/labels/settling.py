"""Labels that follow from a row that holds for many products: brought up to date in steps, by any process."""

import time
from collections.abc import Callable
from typing import Any, Final

from django.db import transaction
from django.db.models import QuerySet

from classifier.labels.services import refresh_product_labels

#: Products of one step, which is a transaction of its own.
STEP_SIZE: Final = 1000


def settle(
    rows: QuerySet[Any], *, list_products: Callable[[Any], QuerySet[Any]], why: Callable[[Any], str], seconds: float
) -> int:
    """Bring labels up to date for so long, row after row in the order of `rows`; return how many changed.

    A row's `labels_after` is the product up to which its labels follow already, None where all do. `list_products`
    gives rows with the `product` of each that a row holds for.
    """
    end, changed = time.monotonic() + seconds, 0
    while time.monotonic() < end and (step := _settle_next(rows, list_products, why)) is not None:
        changed += step
    return changed


def _settle_next(
    rows: QuerySet[Any], list_products: Callable[[Any], QuerySet[Any]], why: Callable[[Any], str]
) -> int | None:
    """Decide the labels of the next products anew; return how many changed, or None if all are settled."""
    with transaction.atomic():
        row = rows.filter(labels_after__isnull=False).select_for_update(skip_locked=True).first()
        if row is None:
            return None
        ahead = list_products(row).filter(product__gt=row.labels_after).order_by("product_id")
        ids = list(ahead.values_list("product_id", flat=True)[:STEP_SIZE])
        row.labels_after = ids[-1] if len(ids) == STEP_SIZE else None
        row.save(update_fields=["labels_after"])
        return refresh_product_labels(ids, why=why(row))

"""Labels that other programs left behind when they wrote into the catalogue: found by a walk through the products.

The walk also finds the pictures that are placeholders, since nobody else sees how many products show them. New products
are found within a sweep. Everything else is looked at in ranges of ids, once round and then again; a step takes a share
of one process, and the next one waits until it is worth it.
"""

import logging
import math
import time
from collections.abc import Callable
from datetime import timedelta

from django.db import transaction
from django.db.models.functions import Now

from catalog.models import Product, ProductLabel
from classifier.labels.placeholders import review_suspects, settle_labels, suspect_pictures
from classifier.labels.services import Why, refresh_product_range
from classifier.models import LabelWalk

logger = logging.getLogger(__name__)

# Products of one step. A step is followed by a rest of so many times as long as it kept this process busy, so that all
# of them take at most a twentieth of it: a million products, of which 2,000 took 0.18 s, are looked at in 42 minutes.
STEP_SIZE = 2000
RESTS = 19
# New products that one sweep looks at; an import of another program may have brought any number.
NEW_PRODUCTS = 5000
# What a sweep spends on the labels that follow from suspects and answers.
SETTLE_SECONDS = 1.0


def walk_labels() -> int:
    """Look at the newest products without a label, and do the walk's next step if it is due; return what changed."""
    newest = ProductLabel.objects.order_by("-product_id").values_list("product_id", flat=True).first() or 0
    _, (_, changed) = _refresh_next(newest, size=NEW_PRODUCTS)
    return changed + _do_next_step() + settle_labels(seconds=SETTLE_SECONDS)


def refresh_all_labels(*, dry_run: bool = False, progress: Callable[[int, int], None] | None = None) -> tuple[int, int]:
    """Look at every product now; return how many there were and how many labels changed, or would with `dry_run`.

    In steps, each in transactions of its own. `progress` is told both numbers after each.
    """
    after, looked_at, changed = 0, 0, 0
    while True:
        until, (number, stale) = _refresh_next(after, size=STEP_SIZE, dry_run=dry_run)
        if until is None:
            return looked_at, changed if dry_run else changed + review_suspects() + settle_labels(seconds=math.inf)
        after, looked_at, changed = until, looked_at + number, changed + stale
        if progress:
            progress(looked_at, changed)


def _do_next_step() -> int:
    """Do the walk's next step unless it rests, or another process is at it; return how many labels changed."""
    walk, _ = LabelWalk.objects.get_or_create(pk=1)
    with transaction.atomic():
        due = LabelWalk.objects.filter(pk=1, after=walk.after, next_step_at__lte=Now())
        if due.select_for_update(skip_locked=True).first() is None:
            return 0
        # Whoever dies in a step leaves it to the next round.
        due.update(next_step_at=Now() + timedelta(seconds=60))
    started = time.thread_time()
    until, (_, changed) = _refresh_next(walk.after, size=STEP_SIZE)
    reviewed = review_suspects() if until is None else 0
    rest = timedelta(seconds=RESTS * (time.thread_time() - started))
    if until is None:
        LabelWalk.objects.filter(pk=1).update(
            after=0, rounds=walk.rounds + 1, round_started_at=Now(), next_step_at=Now() + rest
        )
    else:
        LabelWalk.objects.filter(pk=1).update(after=until, next_step_at=Now() + rest)
    if changed:
        logger.info("%s labels up to product %s were left behind, and are right now", changed, until)
    return changed + reviewed


def _refresh_next(after: int, *, size: int, dry_run: bool = False) -> tuple[int | None, tuple[int, int]]:
    """Look at the next `size` products behind this id; return the last one's id, or None, and what was found."""
    ids = list(Product.objects.filter(pk__gt=after).order_by("pk").values_list("pk", flat=True)[:size])
    if not ids:
        return None, (0, 0)
    found = refresh_product_range(after, ids[-1], why=Why.FOUND, dry_run=dry_run)
    if not dry_run:
        suspect_pictures(after, ids[-1])
    return ids[-1], found

"""Writes of what networks saw in pictures."""

from collections.abc import Iterable
from operator import itemgetter

from classifier.ml.types import Features
from classifier.models import PictureFeatures
from config.db.bulk import insert_or_update_rows

_FIELDS = ("base", "sha256", "features", "logits", "blank", "canonical", "views", "test_form", "statistics")


def record_features(seen: Iterable[tuple[int, str, Features, bytes | None]]) -> None:
    """Write what bases saw: (base id, hash of the picture, features, statistics); within the caller's transaction.

    What stands there already stays, but for rows that lack logits.
    """
    # In one order, so that two workers with the same pictures wait for each other instead of dead-locking.
    rows = {(base_id, bytes.fromhex(sha256)): (of, statistics) for base_id, sha256, of, statistics in seen}
    insert_or_update_rows(
        PictureFeatures,
        fields=_FIELDS,
        rows=[
            (*key, of.numbers, of.logits, of.blank, of.canonical, of.views, of.test_form, statistics)
            for key, (of, statistics) in sorted(rows.items(), key=itemgetter(0))
        ],
        key=2,
        while_null="logits",
    )

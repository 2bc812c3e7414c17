"""Reads of what networks saw in pictures."""

from collections.abc import Collection
from typing import Any

from classifier.ml.types import Features
from classifier.models import PictureFeatures


def find_features(base_id: int, sha256s: Collection[str]) -> dict[str, Features]:
    """Return what the base saw in the pictures with these hashes, by the hash; without those that lack logits."""
    wanted = [bytes.fromhex(sha256) for sha256 in set(sha256s)]
    rows = PictureFeatures.objects.filter(base=base_id, sha256__in=wanted, logits__isnull=False).order_by()
    found = {}
    row: Any
    for row in rows.values_list("sha256", "features", "logits", "blank", "canonical", "views"):
        sha256, numbers, logits, *flags = row
        found[bytes(sha256).hex()] = Features(bytes(numbers), bytes(logits), *flags)
    return found

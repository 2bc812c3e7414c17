"""Reads of what networks saw in pictures."""

from collections.abc import Collection
from typing import Any

from django.db.models import QuerySet

from classifier.ml.types import Features
from classifier.models import PictureFeatures


def find_seen(base_id: int, sha256s: Collection[str]) -> set[str]:
    """Return those of the hashes of pictures of which `find_features` returns features."""
    return {bytes(sha256).hex() for sha256 in _list_seen(base_id, sha256s).values_list("sha256", flat=True)}


def find_features(base_id: int, sha256s: Collection[str]) -> dict[str, Features]:
    """Return what the base saw in the pictures with these hashes, by the hash; without those that lack logits."""
    found = {}
    row: Any
    fields = ("sha256", "features", "logits", "blank", "canonical", "views", "test_form")
    for row in _list_seen(base_id, sha256s).values_list(*fields):
        sha256, numbers, logits, blank, canonical, views, test_form = row
        said = Features(bytes(numbers), bytes(logits), blank, canonical, views, test_form=bool(test_form))
        found[bytes(sha256).hex()] = said
    return found


def find_canonical(base_ids: Collection[int], sha256s: Collection[str]) -> set[tuple[int, str]]:
    """Return the base and the hash of those of the pictures that the base found in canonical form."""
    wanted = [bytes.fromhex(sha256) for sha256 in set(sha256s)]
    rows = PictureFeatures.objects.filter(base__in=set(base_ids), sha256__in=wanted, canonical=True).order_by()
    return {(base_id, bytes(sha256).hex()) for base_id, sha256 in rows.values_list("base_id", "sha256")}


def _list_seen(base_id: int, sha256s: Collection[str]) -> QuerySet[PictureFeatures]:
    wanted = [bytes.fromhex(sha256) for sha256 in set(sha256s)]
    return PictureFeatures.objects.filter(base=base_id, sha256__in=wanted, logits__isnull=False).order_by()

"""Labelled products with what the base in production saw in their pictures: what queues choose among.

Every read is bounded: runs of neighbouring rows of an index, each from a place that chance chooses.
"""

import random
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from django.db.models import QuerySet
from numpy.typing import NDArray

from catalog.models import ProductLabel
from classifier.features.matrix import normalise
from classifier.labels.facts import find_held_hashes
from classifier.ml.labels import GROUPS, group_probabilities
from classifier.ml.types import FEATURE_TYPE
from classifier.models import Classification, PictureFeatures, Review, Verdict
from config.db.arrays import AnyOf

# How many places a read of candidates begins at, and the newest reviews that it compares with.
STARTS = 4
REVIEWS = 500


@dataclass(frozen=True, slots=True)
class Candidates:
    """N products by id, with their images; what a version says of their groups, float[N, 5], and features.

    ``features`` is float32[N, F], of length 1.
    """

    product_ids: NDArray[np.int64]
    image_ids: NDArray[np.int64]
    probabilities: NDArray[np.floating]
    features: NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class ReviewedPictures:
    """Features float32[M, F] of what people reviewed lately, and the groups int64[M] they said; -1 for none."""

    features: NDArray[np.float32]
    groups: NDArray[np.int64]


def probe_labels(labels: QuerySet[ProductLabel], *, count: int) -> list[tuple[int, int, Any, str]]:
    """Return about so many labels at random: product, image, garment probabilities, and SHA-256 of the picture.

    Of labels of one status an index gives them; a classification and a picture that is held are asked for. A query for
    each place that it begins at, and six more.
    """
    # Not by aggregates: beside the condition that nobody has a product open PostgreSQL makes them from every row.
    first, last = (
        labels.order_by(end).values_list("product_id", flat=True).first() for end in ("product_id", "-product_id")
    )
    if first is None or last is None:
        return []
    # Without a join: taking one whose columns must be equal for rare, PostgreSQL would read every row to find a few.
    ordered = labels.filter(classification__isnull=False).order_by("product_id")
    rows: Any = ordered.values_list("product_id", "image_id", "classification_id")
    found: dict[int, tuple[int, int, int]] = {}
    each = -(-count // STARTS)
    chance = random.SystemRandom()
    for start in sorted(chance.randint(first, last) for _ in range(STARTS - 1)):
        found |= {row[0]: row for row in rows.filter(product_id__gte=start)[:each]}
    # What chance left behind the last place is taken from the beginning, so that of few none is missed.
    found |= {row[0]: row for row in rows[: count - len(found)]}
    held = find_held_hashes({row[1] for row in found.values()})
    classifications = Classification.objects.filter(AnyOf("pk", {row[2] for row in found.values()}))
    said = dict(classifications.values_list("pk", "garment_probabilities"))
    return [
        (product_id, image_id, said[classification_id], held[image_id])
        for product_id, image_id, classification_id in sorted(found.values())
        if image_id in held and classification_id in said
    ]


def read_candidates(rows: Sequence[tuple[int, int, Any, str]], *, base_id: int) -> Candidates | None:
    """Return those of the rows of `probe_labels` in whose picture the base looked; None if in none. One query."""
    seen = _read_features(base_id, {sha256 for *_, sha256 in rows})
    known = [row for row in rows if row[3] in seen]
    if not known:
        return None
    size = len(seen[known[0][3]]) // FEATURE_TYPE.itemsize
    return Candidates(
        product_ids=np.array([row[0] for row in known], dtype=np.int64),
        image_ids=np.array([row[1] for row in known], dtype=np.int64),
        probabilities=group_probabilities(np.array([row[2] for row in known], dtype=np.float64)),
        features=normalise(b"".join(seen[row[3]] for row in known), size=size),
    )


def read_reviewed(base_id: int, *, size: int) -> ReviewedPictures:
    """Return the newest reviews that stand and tell a group or none of these, with the base's features, `size` each.

    Two queries.
    """
    standing = Review.objects.standing().exclude(appearance="")
    standing = standing.exclude(verdict=Verdict.UNUSABLE).order_by("-pk")
    said: dict[str, int] = {}
    for appearance, group in standing.values_list("appearance", "group")[:REVIEWS]:
        said.setdefault(appearance, GROUPS.index(group) if group else -1)
    seen = _read_features(base_id, set(said))
    return ReviewedPictures(
        features=normalise(b"".join(seen.values()), size=size),
        groups=np.array([said[sha256] for sha256 in seen], dtype=np.int64),
    )


def _read_features(base_id: int, sha256s: set[str]) -> dict[str, bytes]:
    wanted = [bytes.fromhex(sha256) for sha256 in sha256s]
    rows = PictureFeatures.objects.filter(AnyOf("sha256", wanted), base=base_id).order_by()
    return {bytes(sha256).hex(): bytes(data) for sha256, data in rows.values_list("sha256", "features")}

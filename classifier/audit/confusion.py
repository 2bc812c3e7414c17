"""What the version in production says of the pictures that people reviewed here, and how sure it is of all others."""

from collections import Counter
from typing import Any

from django.db.models import Count, F, IntegerField
from django.db.models.functions import Cast, Floor

from catalog.models import ProductLabel
from classifier.models import Classification, Review, Verdict
from classifier.registry.selectors import find_active_model_version
from config.cached_counts import get_cached_count
from config.db.arrays import AnyOf

#: The newest reviews that are compared.
RECENT = 5_000
BINS = 10
HISTOGRAM_KEY, FRESH_SECONDS, FRESH_TIMES, CACHED_SECONDS = "confidence-histogram", 60.0, 50.0, 24 * 3600.0


def find_compared() -> dict[int, tuple[str, str]]:
    """Return by image what people said, a group or none of these, and which group the version in production says.

    Two queries. What the version learnt from counts as well, so that this shows mistakes and measures none.
    """
    version = find_active_model_version()
    if version is None:
        return {}
    standing = Review.objects.standing().filter(image__isnull=False).order_by("-pk")
    standing = standing.exclude(verdict=Verdict.UNUSABLE)
    true: dict[int, str] = {}
    for image_id, verdict, group in standing.values_list("image_id", "verdict", "group")[:RECENT]:
        true.setdefault(image_id, group or verdict)
    said = Classification.objects.filter(AnyOf("image", true), model_version=version).order_by("pk")
    return {image_id: (true[image_id], group) for image_id, group in said.values_list("image_id", "group")}


def count_confidences() -> dict[str, list[int]]:
    """Return by group how many labels of machines have a confidence in each of `BINS` equal parts of 0 to 1.

    Those of a moment ago; counting reads every label.
    """
    counted: dict[str, list[int]] = get_cached_count(
        HISTOGRAM_KEY,
        count=_count_confidences,
        fresh_seconds=FRESH_SECONDS,
        fresh_times=FRESH_TIMES,
        timeout_seconds=CACHED_SECONDS,
    )
    return counted


def _count_confidences(_: Any) -> dict[str, list[int]]:
    labels = ProductLabel.objects.filter(source=ProductLabel.Source.MACHINE, confidence__isnull=False)
    tenth = Cast(Floor(F("confidence") * BINS), IntegerField())
    counts: Counter[tuple[str, int]] = Counter()
    for group, part, number in labels.values_list("group", tenth).annotate(number=Count("pk")).order_by():
        counts[group, min(part, BINS - 1)] += number
    return {group: [counts[group, part] for part in range(BINS)] for group in {group for group, _ in counts}}

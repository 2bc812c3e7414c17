"""How often a country's texts are right: estimated again and again, and labels brought to what follows from it.

From `ENOUGH_REVIEWS` products on whose label a person gave, it is the share of these whose title names their group.
Before that it is the share of `ENOUGH_PICTURES` sure pictures or more that agree with the title, against the share that
would if every title were right, which is their mean confidence.
"""

import logging
from collections.abc import Iterable
from typing import Any

from django.db import transaction
from django.db.models import Avg, Count, F, Q, QuerySet
from django.db.models.functions import Now

from catalog.models import ProductLabel
from classifier.labels.services import Why
from classifier.labels.settling import settle
from classifier.labels.texts import SPEAKING
from classifier.ml.judging.fusion import VOTING_PRECISION
from classifier.ml.text.reading import TITLE_SCORE, Verdict
from classifier.models import TextEvidence, TextPrecision
from classifier.registry.selectors import find_active_model_version
from config.db.statements import allow_long_statements

logger = logging.getLogger(__name__)

ENOUGH_REVIEWS = 30
ENOUGH_PICTURES = 100
#: Pictures that are surer than this say whether a title is right.
SURE = 0.95
#: The recipe of versions that say of titles what titles taught them.
TAUGHT_BY_TITLES = "titles"
_BY_PICTURES = ("sure", "agreed", "mean_confidence")


def estimate_precision(
    *, reviewed: int, right: int, sure: int, agreed: int, mean_confidence: float | None
) -> float | None:
    """Return how often a country's texts are right, 0 to 1, or None where too little is known."""
    if reviewed >= ENOUGH_REVIEWS:
        return right / reviewed
    if sure >= ENOUGH_PICTURES and mean_confidence:
        return min(1.0, agreed / sure / mean_confidence)
    return None


def refresh_precisions() -> list[str]:
    """Estimate every country's precision now; return the countries whose texts won or lost their vote.

    Their labels are to be decided anew by `settle_texts`. Of two processes at once the second waits, and writes what it
    counted itself.
    """
    production = find_active_model_version()
    is_taught = production is not None and production.recipe == TAUGHT_BY_TITLES
    with allow_long_statements():
        counted = _count_reviews()
        for country, figures in ({} if is_taught else _count_pictures()).items():
            counted.setdefault(country, {}).update(figures)
    changed: dict[str, bool] = {}
    with transaction.atomic():
        former = {row.country: row for row in TextPrecision.objects.select_for_update().order_by("country")}
        for country in sorted(counted.keys() | former.keys()):
            figures = {"reviewed": 0, "right": 0, "sure": 0, "agreed": 0, "mean_confidence": None}
            if is_taught and country in former:
                figures |= {name: getattr(former[country], name) for name in _BY_PICTURES}
            figures |= counted.get(country, {})
            precision = estimate_precision(**figures)
            row: dict[str, Any] = {**figures, "precision": precision, "estimated_at": Now()}
            has_vote = row["has_vote"] = precision is not None and precision >= VOTING_PRECISION
            if has_vote != (country in former and former[country].has_vote):
                row["labels_after"] = 0
                changed[country] = has_vote
            TextPrecision.objects.update_or_create(country=country, defaults=row)
    for country, has_vote in changed.items():
        logger.info("texts of %s %s", country or "no country", "have a vote now" if has_vote else "have no vote now")
    return list(changed)


def settle_texts(*, seconds: float) -> int:
    """Decide labels anew where texts won or lost their vote, for so long; return how many changed."""
    return settle(
        TextPrecision.objects.order_by("country"),
        list_products=_list_speaking,
        why=lambda _: Why.TEXTS,
        seconds=seconds,
    )


def _list_speaking(precision: TextPrecision) -> QuerySet[TextEvidence]:
    """Return the texts of the country that may change a label; a step reads other countries' rows on the way."""
    return TextEvidence.objects.filter(country=precision.country, verdict__in=SPEAKING)


def _count_reviews() -> dict[str, dict[str, Any]]:
    """Return how many products with a person's label a title names a group of, and of how many the right one.

    A picture that nothing can be told by says nothing of a title.
    """
    reviewed = _list_named().filter(product__label__source=ProductLabel.Source.PERSON)
    reviewed = reviewed.exclude(product__label__status=ProductLabel.Status.UNUSABLE)
    rows = reviewed.annotate(number=Count("pk"), right=Count("pk", filter=Q(group=F("product__label__group"))))
    return _by_country(rows.values("country", "number", "right"), number="reviewed")


def _count_pictures() -> dict[str, dict[str, Any]]:
    """Return how many sure pictures have a title that names a group, how many agree, and how sure they are."""
    said = "product__label__classification"
    sure = _list_named().filter(**{f"{said}__confidence__gt": SURE})
    # Until an adoption has decided all labels anew, some are of the version before.
    sure = sure.exclude(**{f"{said}__model_version__recipe": TAUGHT_BY_TITLES})
    rows = sure.annotate(
        number=Count("pk"),
        agreed=Count("pk", filter=Q(group=F(f"{said}__group"))),
        mean_confidence=Avg(f"{said}__confidence"),
    )
    return _by_country(rows.values("country", "number", "agreed", "mean_confidence"), number="sure")


def _list_named() -> Any:
    """Return the readings of titles that name one group, grouped by country."""
    named = TextEvidence.objects.filter(verdict=Verdict.GROUP, score=TITLE_SCORE)
    return named.order_by().values("country")


def _by_country(rows: Iterable[dict[str, Any]], *, number: str) -> dict[str, dict[str, Any]]:
    return {row.pop("country"): {number: row.pop("number"), **row} for row in rows}

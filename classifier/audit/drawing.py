"""Drawing the audit's sample: of all that machines labelled, by a worker, before anybody asks for a page of it."""

import random
from collections.abc import Collection
from typing import Any, Final

from django.core.cache import cache
from django.db import transaction
from django.db.models import Avg, Case, Count, F, IntegerField, Q, QuerySet, Value, When, Window
from django.db.models.functions import RowNumber

from catalog.models import ProductLabel
from classifier.audit.selectors import find_current_round
from classifier.ml.judging.sampling import BAND_STARTS, allocate
from classifier.models import OPEN_STATES, AdoptionRun, AuditRound, AuditSample, LabellingRun, ModelVersion
from classifier.registry.selectors import find_active_model_version
from config.cached_counts import get_cached_count
from config.db.arrays import AnyOf

Status = ProductLabel.Status

#: Products of a round. All of them answered tell an accuracy of 90 % to about 1.3 points; people answer as many as they
#: like, since each beginning of a round is a sample itself.
ROUND_SIZE: Final = 2_000
#: A catalogue that has changed its size by this share since a round is another one; once an hour it is counted.
ANOTHER_SIZE: Final = 0.25
COUNT_KEY: Final = "audit-frame"
COUNT_SECONDS: Final = 3600.0


def refresh_audit() -> AuditRound | None:
    """Draw a round if there is none of the version in production, or the catalogue has another size; or return None.

    While a labelling run is open, or an adoption, labels are to come and others are another version's still: nothing is
    drawn.
    """
    version = find_active_model_version()
    if version is None:
        return None
    if any(runs.objects.filter(state__in=OPEN_STATES).exists() for runs in (AdoptionRun, LabellingRun)):
        return None
    if not _is_due(version):
        return None
    with transaction.atomic():
        # Of two workers that sweep at once the second finds what the first has drawn.
        ModelVersion.objects.select_for_update(no_key=True).get(pk=version.pk)
        audit = draw_round(version_id=version.pk) if _is_due(version) else None
    # What was counted before is about the catalogue of then, which would call for the next round.
    cache.delete(COUNT_KEY)
    return audit


def _is_due(version: ModelVersion) -> bool:
    last = AuditRound.objects.filter(model_version=version, segment="").first()
    return last is None or abs(_count_frame() - last.products) > ANOTHER_SIZE * last.products


def draw_round(
    *,
    version_id: int,
    size: int = ROUND_SIZE,
    seed: int | None = None,
    image_ids: Collection[int] | None = None,
    segment: str = "",
) -> AuditRound | None:
    """Draw about so many products at random within strata of group and confidence, and store them as a round.

    None where no machine has labelled anything. Reads every label once, and those of a stratum once more. With
    `image_ids` only of products that show one of these first, which `segment` names. What people are asked for
    anyway is left out of those: answered before its turn it would no more be a sample of everything.
    """
    chance = random.Random(seed)  # noqa: S311  # a sample, not a secret
    frame = _list_frame()
    if image_ids is not None:
        asked = AuditSample.objects.filter(AnyOf("image", image_ids), round=find_current_round())
        frame = frame.filter(AnyOf("image", image_ids)).exclude(product__in=asked.values("product"))
    strata = list(
        frame.values("group", "band").annotate(number=Count("pk"), mean=Avg("confidence")).order_by("group", "band")
    )
    if not strata:
        return None
    drawn = allocate(
        [stratum["number"] for stratum in strata],
        confidences=[stratum["mean"] or 1.0 for stratum in strata],
        count=size,
    )
    with transaction.atomic():
        sizes = [[stratum["group"], stratum["band"], stratum["number"]] for stratum in strata]
        audit = AuditRound.objects.create(model_version_id=version_id, sizes=sizes, segment=segment)
        samples = [
            sample
            for stratum, count in zip(strata, drawn.tolist(), strict=True)
            for sample in _draw_stratum(frame, stratum, count=count, audit=audit, chance=chance)
        ]
        AuditSample.objects.bulk_create(samples, batch_size=1_000)
    return audit


def _count_frame() -> int:
    counted: int = get_cached_count(
        COUNT_KEY,
        count=lambda _: _list_frame().count(),
        fresh_seconds=COUNT_SECONDS,
        fresh_times=0.0,
        timeout_seconds=2 * COUNT_SECONDS,
    )
    return counted


def _list_frame() -> QuerySet[Any, Any]:
    """Return the labels that machines gave, with the band of their confidence; texts alone say none of these."""
    bands = [When(confidence__gte=start, then=Value(band)) for band, start in reversed(list(enumerate(BAND_STARTS)))]
    said = Q(confidence__isnull=False) & ~Q(group="") | Q(status=Status.NONE_OF_THESE)
    labels = ProductLabel.objects.filter(said, source=ProductLabel.Source.MACHINE, image__isnull=False)
    return labels.annotate(band=Case(*bands, default=Value(0), output_field=IntegerField())).order_by()


def _draw_stratum(
    frame: QuerySet[Any, Any], stratum: dict[str, Any], *, count: int, audit: AuditRound, chance: random.Random
) -> list[AuditSample]:
    """Return so many products of a stratum, in random order.

    The places of a stratum are spread evenly over the order of the round, so that each beginning has its share of all.
    """
    numbers = chance.sample(range(1, stratum["number"] + 1), count)
    within = frame.filter(group=stratum["group"], band=stratum["band"])
    numbered = within.annotate(number=Window(RowNumber(), order_by=F("product_id").asc()))
    rows = list(numbered.filter(number__in=numbers).values_list("product_id", "image_id", "confidence"))
    chance.shuffle(rows)
    return [
        AuditSample(
            round=audit,
            product_id=product_id,
            image_id=image_id,
            group=stratum["group"],
            band=stratum["band"],
            confidence=confidence,
            inclusion_probability=count / stratum["number"],
            position=(place + chance.random()) / len(rows),
        )
        for place, (product_id, image_id, confidence) in enumerate(rows)
    ]

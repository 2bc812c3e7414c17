"""What an audit tells: how much of the catalogue is right, and what more answers would tell."""

import math
from bisect import bisect_right
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta

import numpy as np
from django.db.models import Avg, Count, F, QuerySet
from django.db.models.functions import Coalesce

from classifier.ml.judging.corrected import ConfidentStratum, estimate_corrected, find_mean_confidence
from classifier.ml.judging.sampling import Stratum, count_further, estimate_share
from classifier.ml.judging.shares import LEAST_COUNT, Share
from classifier.ml.labels import GROUPS
from classifier.ml.words import write_share
from classifier.models import AuditRound, AuditSample, ModelVersion, Review, Verdict

#: What an answer makes of a label, beside the verdicts that say that it has no group.
RIGHT, OTHER_GROUP = "right", "other_group"
#: How sure texts are that alone say that it is none of these.
_SURE = 1.0


@dataclass(frozen=True, slots=True)
class AuditEstimate:
    """The accuracy of what machines said of the catalogue, as the blind answers to an audit tell it.

    `groups` has that of the products that were said to be of each group. `corrected` is told from the answers and how
    sure the version is of all that was drawn, `confidence` is the mean of that, its word alone. Of the `answered`
    products `other_group` are of another group than was said, `none_of_these` of no group though one was said, and
    `unusable` tell nothing.
    """

    audit: AuditRound
    accuracy: Share
    groups: dict[str, Share]
    corrected: Share
    confidence: float | None
    answered: int
    other_group: int
    none_of_these: int
    unusable: int

    @property
    def sentence(self) -> str:
        """What it says, and what more answers would say."""
        share = self.accuracy
        if share.value is None:
            return (
                f"From {LEAST_COUNT} answers on the audit tells how many of this catalogue's labels are right; it has "
                f"{share.count}."
            )
        return self._tell(share, by="answers")

    @property
    def corrected_sentence(self) -> str:
        """What the confidence says once answers have corrected it; empty before there are enough."""
        return (
            "" if self.corrected.value is None else self._tell(self.corrected, by="answers and the model's confidence")
        )

    def _tell(self, share: Share, *, by: str) -> str:
        words = f"{write_share(share.to_json())} of this catalogue's labels are right, by {share.count:,} {by}"
        further = count_further(share)
        if further is None or further[1] > self.audit.products - self.answered:
            return f"{words}."
        half, count, bought = further
        return f"{words}: ±{half:.0f} points; {count:,} more answers for ±{bought}."


def find_current_round() -> AuditRound | None:
    """Return the newest round of all that the version in production labelled; None before one is drawn."""
    return AuditRound.objects.filter(model_version__stage=ModelVersion.Stage.PRODUCTION, segment="").first()


def list_open_segments() -> list[AuditRound]:
    """Return the rounds of segments about which people are asked now, the oldest first."""
    rounds = AuditRound.objects.filter(model_version__stage=ModelVersion.Stage.PRODUCTION, closed_at=None)
    return list(rounds.exclude(segment="").order_by("pk"))


def list_answers(audit: AuditRound) -> QuerySet[Review]:
    """Return the blind answers to a round that stand, the oldest first."""
    answers = Review.objects.filter(blind=True, inclusion_probability__isnull=False, withdrawn_at__isnull=True)
    images = AuditSample.objects.filter(round=audit).values("image")
    return answers.filter(image__in=images, created_at__gte=audit.drawn_at).order_by("pk")


def list_unanswered(audit: AuditRound) -> QuerySet[AuditSample]:
    """Return what of a round nobody answered, while its picture is the product's first, in the order it is asked in."""
    samples = AuditSample.objects.filter(round=audit, product__label__image=F("image"))
    return samples.exclude(image__in=list_answers(audit).values("image"))


def estimate_accuracy() -> AuditEstimate | None:
    """Return what the audit of the version in production tells; None before it is drawn. Four queries."""
    audit = find_current_round()
    if audit is None:
        return None
    return _estimate(audit, _read_answers(audit), means=_read_means(audit))


@dataclass(frozen=True, slots=True)
class AccuracyOfDay:
    """What the audit told by the end of a day, of the version that it was drawn for."""

    day: date
    model_version: str
    accuracy: Share


def list_accuracies(first: date, last: date) -> list[AccuracyOfDay]:
    """Return what the audits told on each of these days, in UTC, by the answers that still stand.

    An audit is the present one until the next is drawn. Days before there were enough answers are left out. Three
    queries an audit, and one more.
    """
    found = []
    until = last
    for audit in AuditRound.objects.filter(drawn_at__date__lte=last, segment="").select_related("model_version"):
        begin = max(first, audit.drawn_at.astimezone(UTC).date())
        answers = _read_answers(audit) if begin <= until else []
        means = _read_means(audit) if answers else {}
        days = [answer.at.astimezone(UTC).date() for answer in answers]
        share, counted = None, 0
        for day in (begin + timedelta(days=number) for number in range((until - begin).days + 1)):
            if (given := bisect_right(days, day)) > counted:
                share, counted = _estimate(audit, answers[:given], means=means).accuracy, given
            if share is not None and share.value is not None:
                found.append(AccuracyOfDay(day, audit.model_version.name, share))
        until = min(until, begin - timedelta(days=1))
        if until < first:
            break
    return sorted(found, key=lambda row: row.day)


@dataclass(frozen=True, slots=True)
class _Answer:
    """When a product of a round was answered for, its stratum, what that makes of its label, and how sure that was."""

    at: datetime
    group: str
    band: int
    kind: str
    confidence: float | None


def _read_answers(audit: AuditRound) -> list[_Answer]:
    """Return the answers to a round, by time."""
    fields = ("image_id", "verdict", "group", "created_at")
    answers = {
        image_id: (verdict, group, at) for image_id, verdict, group, at in list_answers(audit).values_list(*fields)
    }
    samples = AuditSample.objects.filter(round=audit, image__in=list(answers)).order_by("pk")
    judged = [
        _Answer(answers[image_id][2], group, band, judge_answer(group, *answers[image_id][:2]), confidence)
        for group, band, image_id, confidence in samples.values_list("group", "band", "image_id", "confidence")
    ]
    return sorted(judged, key=lambda answer: answer.at)


def _read_means(audit: AuditRound) -> dict[tuple[str, int], tuple[int, float]]:
    """Return by stratum how many products were drawn, and how sure the version is of them."""
    drawn = AuditSample.objects.filter(round=audit).order_by().values_list("group", "band")
    rows = drawn.annotate(number=Count("pk"), mean=Avg(Coalesce("confidence", _SURE)))
    return {(group, band): (number, mean) for group, band, number, mean in rows}


def _estimate(
    audit: AuditRound, answers: Sequence[_Answer], *, means: dict[tuple[str, int], tuple[int, float]]
) -> AuditEstimate:
    """Return what follows from answers to a round."""
    kinds = Counter((answer.group, answer.band, answer.kind) for answer in answers)
    sure = [
        _build_confident_stratum(
            size,
            *means[group, band],
            [(answer.kind, answer.confidence) for answer in answers if (answer.group, answer.band) == (group, band)],
        )
        for group, band, size in audit.sizes
        if (group, band) in means
    ]
    strata = [(group, _build_stratum(group, band, size, kinds)) for group, band, size in audit.sizes]
    totals: Counter[str] = Counter()
    for (_, _, kind), number in kinds.items():
        totals[kind] += number
    return AuditEstimate(
        audit=audit,
        accuracy=estimate_share([stratum for _, stratum in strata]),
        groups={name: estimate_share([stratum for group, stratum in strata if group == name]) for name in GROUPS},
        corrected=estimate_corrected(sure),
        confidence=find_mean_confidence(sure),
        answered=totals.total(),
        other_group=totals[OTHER_GROUP],
        none_of_these=totals[Verdict.NONE_OF_THESE],
        unusable=totals[Verdict.UNUSABLE],
    )


def _build_stratum(group: str, band: int, size: int, kinds: Counter[tuple[str, int, str]]) -> Stratum:
    seen = sum(number for (*stratum, _), number in kinds.items() if stratum == [group, band])
    unusable = kinds[group, band, str(Verdict.UNUSABLE)]
    return Stratum(size=size, seen=seen, counted=seen - unusable, right=kinds[group, band, RIGHT])


def _build_confident_stratum(
    size: int, drawn: int, mean: float, judged: list[tuple[str, float | None]]
) -> ConfidentStratum:
    told = {RIGHT: 1.0, str(Verdict.UNUSABLE): math.nan}
    return ConfidentStratum(
        size=size,
        drawn=drawn,
        mean=mean,
        confidences=np.array([_SURE if confidence is None else confidence for _, confidence in judged]),
        right=np.array([told.get(kind, 0.0) for kind, _ in judged]),
    )


def judge_answer(said: str, verdict: str, group: str) -> str:
    """Return what a person's answer makes of the group that was said; both name none where both say none of these."""
    if verdict == Verdict.UNUSABLE or (said != group and not group):
        return verdict
    return RIGHT if said == group else OTHER_GROUP

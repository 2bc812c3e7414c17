"""What an audit tells: how much of the catalogue is right, and what more answers would tell."""

from bisect import bisect_right
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import Any

from django.db.models import QuerySet

from classifier.ml.judging.sampling import Stratum, count_further, estimate_share
from classifier.ml.judging.shares import LEAST_COUNT, Share
from classifier.ml.labels import GROUPS
from classifier.ml.words import write_share
from classifier.models import AuditRound, AuditSample, ModelVersion, Review, Verdict

#: What an answer makes of a label, beside the verdicts that say that it has no group.
RIGHT, OTHER_GROUP = "right", "other_group"


@dataclass(frozen=True, slots=True)
class AuditEstimate:
    """The accuracy of what machines said of the catalogue, as the blind answers to an audit tell it.

    `groups` has that of the products that were said to be of each group. Of the `answered` products `other_group` are
    of another group than was said, `none_of_these` of no group though one was said, and `unusable` tell nothing.
    """

    audit: AuditRound
    accuracy: Share
    groups: dict[str, Share]
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
        words = f"{write_share(share.to_json())} of this catalogue's labels are right, by {share.count:,} answers"
        further = count_further(share)
        if further is None or further[1] > self.audit.products - self.answered:
            return f"{words}."
        half, count, bought = further
        return f"{words}: ±{half:.0f} points; {count:,} more answers for ±{bought}."


def find_current_round() -> AuditRound | None:
    """Return the newest round of the version in production; None before one is drawn."""
    return AuditRound.objects.filter(model_version__stage=ModelVersion.Stage.PRODUCTION).first()


def list_answers(audit: AuditRound) -> QuerySet[Review]:
    """Return the blind answers to a round that stand, the oldest first."""
    answers = Review.objects.standing().filter(blind=True, inclusion_probability__isnull=False)
    images = AuditSample.objects.filter(round=audit).values("image")
    return answers.filter(image__in=images, created_at__gte=audit.drawn_at).order_by("pk")


def list_unanswered(audit: AuditRound) -> QuerySet[AuditSample]:
    """Return what of a round nobody answered, in the order in which it is to be asked."""
    return AuditSample.objects.filter(round=audit).exclude(image__in=list_answers(audit).values("image"))


def estimate_accuracy() -> AuditEstimate | None:
    """Return what the audit of the version in production tells; None before it is drawn. Three queries."""
    audit = find_current_round()
    if audit is None:
        return None
    return _estimate(audit, [answer[1:] for answer in _read_answers(audit)])


@dataclass(frozen=True, slots=True)
class AccuracyOfDay:
    """What the audit told by the end of a day, of the version that it was drawn for."""

    day: date
    model_version: str
    accuracy: Share


def list_accuracies(first: date, last: date) -> list[AccuracyOfDay]:
    """Return what the audits told on each of these days, in UTC, by the answers that still stand.

    An audit is the present one until the next is drawn. Days before there were enough answers are left out. Two queries
    an audit, and one more.
    """
    found = []
    until = last
    for audit in AuditRound.objects.filter(drawn_at__date__lte=last).select_related("model_version"):
        begin = max(first, audit.drawn_at.astimezone(UTC).date())
        answers = _read_answers(audit) if begin <= until else []
        days = sorted(at.astimezone(UTC).date() for at, *_ in answers)
        share, counted = None, 0
        for day in (begin + timedelta(days=number) for number in range((until - begin).days + 1)):
            if (given := bisect_right(days, day)) > counted:
                share, counted = _estimate(audit, [answer for _, *answer in answers[:given]]).accuracy, given
            if share is not None and share.value is not None:
                found.append(AccuracyOfDay(day, audit.model_version.name, share))
        until = min(until, begin - timedelta(days=1))
        if until < first:
            break
    return sorted(found, key=lambda row: row.day)


def _read_answers(audit: AuditRound) -> list[tuple[datetime, str, int, str]]:
    """Return when each product of a round was answered for, its group, band and what that makes of it, by time."""
    fields = ("image_id", "verdict", "group", "created_at")
    answers = {
        image_id: (verdict, group, at) for image_id, verdict, group, at in list_answers(audit).values_list(*fields)
    }
    samples = AuditSample.objects.filter(round=audit, image__in=list(answers)).order_by()
    return sorted(
        (answers[image_id][2], group, band, _judge(group, *answers[image_id][:2]))
        for group, band, image_id in samples.values_list("group", "band", "image_id")
    )


def _estimate(audit: AuditRound, answers: Iterable[Sequence[Any]]) -> AuditEstimate:
    """Return what follows from answers to a round, each of which is (group, band, what it makes of the label)."""
    kinds = Counter((group, band, kind) for group, band, kind in answers)
    strata = [(group, _build_stratum(group, band, size, kinds)) for group, band, size in audit.sizes]
    totals: Counter[str] = Counter()
    for (_, _, kind), number in kinds.items():
        totals[kind] += number
    return AuditEstimate(
        audit=audit,
        accuracy=estimate_share([stratum for _, stratum in strata]),
        groups={name: estimate_share([stratum for group, stratum in strata if group == name]) for name in GROUPS},
        answered=totals.total(),
        other_group=totals[OTHER_GROUP],
        none_of_these=totals[Verdict.NONE_OF_THESE],
        unusable=totals[Verdict.UNUSABLE],
    )


def _build_stratum(group: str, band: int, size: int, kinds: Counter[tuple[str, int, str]]) -> Stratum:
    seen = sum(number for (*stratum, _), number in kinds.items() if stratum == [group, band])
    unusable = kinds[group, band, str(Verdict.UNUSABLE)]
    return Stratum(size=size, seen=seen, counted=seen - unusable, right=kinds[group, band, RIGHT])


def _judge(said: str, verdict: str, group: str) -> str:
    """Return what a person's answer makes of the group that was said; both name none where both say none of these."""
    if verdict == Verdict.UNUSABLE or (said != group and not group):
        return verdict
    return RIGHT if said == group else OTHER_GROUP

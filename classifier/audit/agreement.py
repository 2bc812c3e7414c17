"""How far reviewers agree: what one said of a picture, and another who did not see that."""

from collections import defaultdict
from dataclasses import dataclass

from classifier.ml.judging.agreement import Agreement, measure_agreement, measure_group_agreement
from classifier.ml.judging.shares import Share
from classifier.ml.labels import GROUPS
from classifier.models import Review

#: The newest reviews that are looked through.
RECENT = 5_000


@dataclass(frozen=True, slots=True)
class PairAgreement:
    """How far two reviewers agree, by name."""

    names: tuple[str, str]
    agreement: Agreement


@dataclass(frozen=True, slots=True)
class Agreements:
    """How far all reviewers agree, each two of them, and on each group."""

    overall: Agreement
    pairs: list[PairAgreement]
    groups: dict[str, Share]


def measure_reviewers(viewer_id: int) -> Agreements:
    """Return how far reviewers agree, the pairs of the viewer first. One query.

    A blind answer is compared with the one before it of the same picture by another person.
    """
    standing = Review.objects.filter(withdrawn_at__isnull=True).exclude(appearance="").order_by("-pk")
    fields = ("appearance", "reviewer_id", "reviewer__username", "verdict", "group", "blind")
    before: dict[str, tuple[int, str, str]] = {}
    pairs: dict[tuple[tuple[int, int], tuple[str, str]], list[tuple[str, str]]] = defaultdict(list)
    for appearance, reviewer_id, name, verdict, group, blind in reversed(standing.values_list(*fields)[:RECENT]):
        now = (reviewer_id, name, group or verdict)
        last = before.get(appearance)
        if blind and last is not None and last[0] != reviewer_id:
            (first_id, first, first_said), (second_id, second, second_said) = sorted((last, now))
            pairs[(first_id, second_id), (first, second)].append((first_said, second_said))
        before[appearance] = now
    everything = [pair for of_two in pairs.values() for pair in of_two]
    ordered = sorted(pairs.items(), key=lambda item: (viewer_id not in item[0][0], -len(item[1]), item[0][1]))
    return Agreements(
        overall=measure_agreement(everything),
        pairs=[PairAgreement(names, measure_agreement(of_two)) for (_, names), of_two in ordered],
        groups={group: measure_group_agreement(everything, group=group) for group in GROUPS},
    )

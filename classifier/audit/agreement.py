"""How far reviewers agree: what one said of a picture, and another who did not see that.

And how often each says of a control, a picture about which two disputed, what a third person decided.
"""

from collections import defaultdict
from dataclasses import dataclass

from classifier.ml.judging.agreement import Agreement, measure_agreement, measure_group_agreement
from classifier.ml.judging.shares import Share, measure_share
from classifier.ml.labels import GROUPS
from classifier.ml.words import write_share
from classifier.models import QueueName, Review

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


@dataclass(frozen=True, slots=True)
class ControlAgreement:
    """How many controls a reviewer answered, and how many of them as it was decided."""

    reviewer_id: int
    name: str
    agreed: int
    count: int

    @property
    def share(self) -> Share:
        """The share of those answered as decided; nothing where they are few."""
        return measure_share(self.agreed, of=self.count)

    @property
    def sentence(self) -> str:
        """What it says to the reviewer."""
        words = f"You said what was decided of {self.agreed:,} of {self.count:,} controls"
        return f"{words}: {write_share(self.share.to_json())}." if self.share.value is not None else f"{words}."


def measure_controls(viewer_id: int) -> list[ControlAgreement]:
    """Return how often each reviewer said of controls what was decided, the viewer first. One query.

    Of several answers to one control the newest counts.
    """
    given = Review.objects.filter(control__isnull=False, withdrawn_at__isnull=True).order_by("-pk")
    decided = ("control__verdict", "control__group")
    rows = given.values_list("reviewer_id", "reviewer__username", "control_id", "verdict", "group", *decided)
    answers: dict[tuple[int, str], dict[int, bool]] = defaultdict(dict)
    for reviewer_id, name, control_id, verdict, group, *known in rows[:RECENT]:
        answers[reviewer_id, name].setdefault(control_id, [verdict, group] == known)
    measured = [ControlAgreement(*who, sum(of.values()), len(of)) for who, of in answers.items()]
    return sorted(measured, key=lambda of: (of.reviewer_id != viewer_id, -of.count, of.name))


def find_own_controls(viewer_id: int) -> ControlAgreement | None:
    """Return the viewer's own, or None before the first answer. One query."""
    first = next(iter(measure_controls(viewer_id)), None)
    return first if first is not None and first.reviewer_id == viewer_id else None


def measure_reviewers(viewer_id: int) -> Agreements:
    """Return how far reviewers agree, the pairs of the viewer first. One query.

    A blind answer is compared with the one before it of the same picture by another person.
    """
    standing = Review.objects.standing().exclude(appearance="").order_by("-pk")
    fields = ("appearance", "reviewer_id", "reviewer__username", "verdict", "group", "blind", "queue")
    before: dict[str, tuple[int, str, str]] = {}
    pairs: dict[tuple[tuple[int, int], tuple[str, str]], list[tuple[str, str]]] = defaultdict(list)
    for appearance, reviewer_id, name, verdict, group, blind, queue in reversed(standing.values_list(*fields)[:RECENT]):
        now = (reviewer_id, name, group or verdict)
        last = before.get(appearance)
        # Of likely errors people disagree more often than of other pictures.
        if blind and queue != QueueName.LABEL_ERRORS and last is not None and last[0] != reviewer_id:
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

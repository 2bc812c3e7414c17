"""Figures over time: how many labels each day or version brought, how many of them were unsure, and what went wrong."""

from collections import Counter
from collections.abc import Collection
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta

from django.utils import timezone

from catalog.models import ProductLabel
from classifier.audit.selectors import AccuracyOfDay, list_accuracies
from classifier.labels.day_counts import Kind, list_day_counts
from classifier.labels.history import find_version_names
from classifier.ml.labels import GROUPS
from classifier.models import AdoptionRun, Alarm

Status = ProductLabel.Status

DEFAULT_DAYS, MAXIMUM_DAYS = 30, 731
#: What the numbers may be told apart by.
BY_DAY, BY_VERSION = "day", "version"
#: Statuses of labels: somebody or something looked.
_LABELS = (Status.LABELLED, Status.NEEDS_REVIEW, Status.REVIEWED, Status.NONE_OF_THESE, Status.UNUSABLE)


@dataclass(slots=True)
class Figures:
    """What products became in a time: `labels` is how many got one, each time anew, by a machine or a person.

    Of these `unsure` wait for a person and `reviewed` are a person's. `groups` has all that have a group. `failures`
    are products without a label, by the code of the error. Without `day` or `version` they are those of all.
    """

    day: date | None = None
    version: str | None = None
    labels: int = 0
    unsure: int = 0
    reviewed: int = 0
    groups: Counter[str] = field(default_factory=Counter)
    failures: Counter[str] = field(default_factory=Counter)

    @property
    def machine(self) -> int:
        """How many labels a machine gave."""
        return self.labels - self.reviewed

    @property
    def failed(self) -> int:
        """How many products failed, whatever the code."""
        return self.failures.total()

    @property
    def unsure_share(self) -> float | None:
        """The part of the machine's labels that wait for a person, 0..1; None without any."""
        return self.unsure / self.machine if self.machine else None

    def share(self, group: str) -> float | None:
        """Return the group's part of the labels with a group, 0..1; None without any."""
        total = self.groups.total()
        return self.groups[group] / total if total else None

    def add(self, kind: Kind, number: int) -> None:
        """Count labels of a kind."""
        if kind.status in _LABELS:
            self.labels += number
            self.unsure += number * (kind.status == Status.NEEDS_REVIEW)
            self.reviewed += number * (kind.source == ProductLabel.Source.PERSON)
            if kind.group in GROUPS:
                self.groups[kind.group] += number
        elif kind.status == Status.FAILED:
            self.failures[kind.reason] += number


@dataclass(frozen=True, slots=True)
class Activation:
    """A version that came into production."""

    at: datetime
    version: str


@dataclass(frozen=True, slots=True)
class ConfirmedAlarm:
    """An alarm of drift, from when a second check confirmed it; the signal in words."""

    at: datetime
    signal: str
    segment: str


@dataclass(frozen=True, slots=True)
class FiguresOverTime:
    """The figures of the days from `first` to `last`, in UTC, and what happened meanwhile."""

    first: date
    last: date
    rows: list[Figures]
    accuracies: list[AccuracyOfDay]
    activations: list[Activation]
    alarms: list[ConfirmedAlarm]


def get_default_days() -> tuple[date, date]:
    """Return the first and the last of the days that are shown where nobody says which."""
    today = timezone.now().astimezone(UTC).date()
    return today - timedelta(days=DEFAULT_DAYS - 1), today


def find_figures(first: date, last: date, *, by: Collection[str] = (BY_DAY,)) -> FiguresOverTime:
    """Return the figures of these days, told apart by day, by version, or by both; see `list_figures`.

    Five queries, and three for each audit.
    """
    return FiguresOverTime(
        first=first,
        last=last,
        rows=list_figures(first, last, by=by),
        accuracies=list_accuracies(first, last),
        activations=list_activations(first, last),
        alarms=list_alarms(first, last),
    )


def list_figures(first: date, last: date, *, by: Collection[str]) -> list[Figures]:
    """Return the figures of these days. By day alone every day has a row; else a row has something to tell."""
    counts = list(list_day_counts(first, last))
    names = find_version_names({kind.version_id for kind, _ in counts} - {0}) if BY_VERSION in by else {}
    rows: dict[tuple[date | None, str | None], Figures] = {}
    if tuple(by) == (BY_DAY,):
        days = (first + timedelta(days=number) for number in range((last - first).days + 1))
        rows = {(day, None): Figures(day) for day in days}
    for kind, number in counts:
        day = kind.day if BY_DAY in by else None
        version = names.get(kind.version_id, "") if BY_VERSION in by else None
        rows.setdefault((day, version), Figures(day, version)).add(kind, number)
    told = sorted(rows.values(), key=lambda row: (row.day or first, row.version or ""))
    return [row for row in told if row.labels or row.failures or row.version is None]


def list_activations(first: date, last: date) -> list[Activation]:
    """Return which versions came into production on these days, the first one first; each has begun an adoption."""
    runs = AdoptionRun.objects.filter(created_at__date__gte=first, created_at__date__lte=last).order_by("created_at")
    return [Activation(at, name) for at, name in runs.values_list("created_at", "model_version__name")]


def list_alarms(first: date, last: date) -> list[ConfirmedAlarm]:
    """Return the alarms that were confirmed on these days, the first one first."""
    alarms = Alarm.objects.filter(confirmed_at__date__gte=first, confirmed_at__date__lte=last).order_by("confirmed_at")
    rows = alarms.values_list("confirmed_at", "signal", "segment")
    return [ConfirmedAlarm(at, Alarm.Signal(signal).label, segment) for at, signal, segment in rows if at is not None]

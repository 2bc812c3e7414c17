"""The two sides of a drift check, read from what is stored: the reference of a version, and a window after it."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final

import numpy as np
from django.db.models import Count, F, Max, QuerySet
from numpy.typing import NDArray

from catalog.pictures.statistics import STATISTICS
from catalog.values import find_host
from classifier.ml.judging.drift import LEAST_PICTURES, DriftInputError, Flags, Side
from classifier.ml.labels import GARMENTS
from classifier.ml.types import FEATURE_TYPE
from classifier.models import (
    OPEN_STATES,
    Classification,
    DriftCheck,
    LabellingRun,
    LabelTask,
    ModelVersion,
    PictureFeatures,
    Review,
    Verdict,
)
from config.db.arrays import AnyOf
from config.db.clock import get_database_time

#: The reference is made of whole runs, the version's first, until they have so many pictures.
REFERENCE_PICTURES: Final = 1_000
#: The newest pictures that a check compares unless it is told otherwise.
WINDOW_PICTURES: Final = 500
#: Of more pictures on a side so many are looked at, spread evenly over it.
MOST_PICTURES: Final = 5_000
#: Pictures that nothing was fetched for have no host.
NO_HOST: Final = "media storage"
_CHUNK: Final = 1_000
#: How tasks end that were looked at; those that are ignored had failed.
_ENDS: Final = (LabelTask.State.DONE, LabelTask.State.RETRY, LabelTask.State.FAILED, LabelTask.State.IGNORED)
#: So far may the time of a row lie ahead of the database's clock.
_TOLERANCE: Final = timedelta(minutes=1)


@dataclass(frozen=True, slots=True)
class Stretch:
    """Classifications of one version, from one id to another, and when the first of them was written."""

    first: int
    last: int
    since: datetime


@dataclass(frozen=True, slots=True)
class Pictures:
    """What is compared of a side, and of each picture the image that shows it; `hosts` names the numbers of hosts."""

    side: Side
    images: list[int]
    hosts: list[str]


def find_reference(version: ModelVersion) -> Stretch:
    """Return the stretch that windows of the version are compared with: that of its first check, else its first runs.

    Once too little is left of that stretch, whose pictures nothing may show any more, it is the first runs of what is
    left. Raises `DriftInputError` while there are too few pictures in runs that have ended.
    """
    said = Classification.objects.filter(model_version=version).order_by("pk")
    first = said.values_list("pk", "created_at").first()
    last = DriftCheck.objects.filter(model_version=version).values_list("reference_until", flat=True).last()
    if first is None:
        raise DriftInputError(f"expected pictures that {version.name} labelled, found none")
    if last is not None and said.filter(pk__lte=last)[:LEAST_PICTURES].count() == LEAST_PICTURES:
        return Stretch(first[0], last, first[1])
    pictures, until = 0, 0
    runs = Classification.objects.filter(model_version=version).order_by().values("run_id")
    for run in runs.annotate(number=Count("pk"), last=Max("pk")).order_by("run_id"):
        if LabellingRun.objects.filter(pk=run["run_id"], state__in=OPEN_STATES).exists():
            break
        pictures, until = pictures + run["number"], max(until, run["last"])
        if pictures >= REFERENCE_PICTURES:
            return Stretch(first[0], until, first[1])
    raise DriftInputError(
        f"expected {REFERENCE_PICTURES:,} pictures in ended labelling runs of {version.name} as its reference, found "
        f"{pictures:,}"
    )


def find_window(
    version: ModelVersion, reference: Stretch, *, pictures: int | None = None, since: datetime | None = None
) -> Stretch:
    """Return the stretch of the newest pictures after the reference, or of those since a time.

    Raises `DriftInputError` where there are too few, and where the times of rows contradict their order.
    """
    now = get_database_time()
    if since is not None and since > now:
        raise DriftInputError(
            f"expected a time that has come, received {since:%Y-%m-%d %H:%M}; it is {now:%Y-%m-%d %H:%M}"
        )
    said = Classification.objects.filter(model_version=version, pk__gt=reference.last)
    if since is not None:
        said = said.filter(created_at__gte=since)
    newest = said.order_by("-pk").values_list("pk", "created_at")
    oldest = said.order_by("pk").values_list("pk", "created_at")
    end = newest.first()
    if end is None:
        raise DriftInputError(f"expected pictures that {version.name} labelled after its reference, found none")
    number = pictures or (WINDOW_PICTURES if since is None else None)
    start = next(iter(newest[number - 1 : number]), None) if number else None
    (last, latest), (first, earliest) = end, start or oldest[0]
    if latest > now + _TOLERANCE:
        raise DriftInputError(
            f"clocks disagree: the newest picture was labelled at {latest:%Y-%m-%d %H:%M}, and the database says that "
            f"it is {now:%Y-%m-%d %H:%M}"
        )
    if earliest + _TOLERANCE < reference.since:
        raise DriftInputError(
            f"clocks disagree: the window's first picture was labelled at {earliest:%Y-%m-%d %H:%M}, before the "
            f"reference's, at {reference.since:%Y-%m-%d %H:%M}"
        )
    return Stretch(first, last, earliest)


def read_sides(version: ModelVersion, *, reference: Stretch, window: Stretch) -> tuple[Pictures, Pictures]:
    """Return what is compared of both. The reads are as many for a million pictures as for a thousand."""
    rows = [_list_rows(version, stretch) for stretch in (reference, window)]
    names = sorted({find_host(row[-1]) or NO_HOST for side in rows for row in side})
    numbers = {name: number for number, name in enumerate(names)}
    sides = [_build_side(version, side, numbers=numbers, names=names) for side in rows]
    sizes = {pictures.side.features.shape[1] for pictures in sides if len(pictures.side)}
    if len(sizes) > 1:
        raise DriftInputError(f"expected features of one size, found {', '.join(map(str, sorted(sizes)))}")
    return sides[0], sides[1]


def _list_rows(version: ModelVersion, stretch: Stretch) -> list[tuple[Any, ...]]:
    """Return image, run, hash, probabilities, group and address of the pictures, of many some in even distances."""
    said: QuerySet[Any, Any] = Classification.objects.filter(
        model_version=version, pk__gte=stretch.first, pk__lte=stretch.last
    ).order_by()
    number = said.count()
    if number > MOST_PICTURES:
        step = -(-number // MOST_PICTURES)
        said = said.annotate(place=F("pk") % step).filter(place=0)
    return list(
        said.order_by("pk").values_list("image_id", "run_id", "sha256", "garment_probabilities", "group", "image__url")
    )


def _build_side(
    version: ModelVersion, rows: Sequence[tuple[Any, ...]], *, numbers: dict[str, int], names: list[str]
) -> Pictures:
    """Return the side of those of the rows whose features are stored. Raises `DriftInputError` where none are."""
    features = _read_features(version, sorted({row[2] for row in rows}))
    seen = [row for row in rows if row[2] in features]
    if not seen:
        raise DriftInputError(f"expected pictures whose features {version.name} stored, found none of {len(rows):,}")
    return Pictures(
        side=Side(
            features=np.array([features[row[2]][0] for row in seen], dtype=np.float32).reshape(len(seen), -1),
            probabilities=np.array([row[3] for row in seen], dtype=np.float32).reshape(-1, len(GARMENTS)),
            batches=np.array([row[1] for row in seen], dtype=np.int64),
            hosts=np.array([numbers[find_host(row[-1]) or NO_HOST] for row in seen], dtype=np.int64),
            failures=_count_failures(version, {row[1] for row in rows}),
            disagreement=_find_disagreement(seen),
            statistics=np.array([features[row[2]][1] for row in seen]).reshape(len(seen), -1),
        ),
        images=[row[0] for row in seen],
        hosts=names,
    )


def _read_features(version: ModelVersion, sha256s: Sequence[str]) -> dict[str, tuple[NDArray[Any], NDArray[Any]]]:
    """Return what the version's base saw in the pictures with these hashes, and the statistics, NaN where unknown."""
    found = {}
    for start in range(0, len(sha256s), _CHUNK):
        wanted = [bytes.fromhex(sha256) for sha256 in sha256s[start : start + _CHUNK]]
        rows = PictureFeatures.objects.filter(base=version.base_id, sha256__in=wanted).order_by()
        for sha256, numbers, statistics in rows.values_list("sha256", "features", "statistics"):
            measured = (
                np.full(len(STATISTICS), np.nan) if statistics is None else np.frombuffer(statistics, FEATURE_TYPE)
            )
            found[bytes(sha256).hex()] = np.nan_to_num(np.frombuffer(numbers, FEATURE_TYPE)), measured
    return found


def _count_failures(version: ModelVersion, run_ids: set[int]) -> Flags:
    """Return which tasks of these runs failed, of many as many as pictures are looked at; a task is of no host."""
    counts: Counter[tuple[int, bool]] = Counter()
    tasks = LabelTask.objects.filter(model_version=version, run__in=run_ids).order_by().values_list("run_id", "state")
    for run_id, state, number in tasks.annotate(number=Count("pk")):
        if state in _ENDS:
            counts[run_id, state != LabelTask.State.DONE] += number
    for run_id, number in LabellingRun.objects.filter(pk__in=run_ids).values_list("pk", "from_features"):
        counts[run_id, False] += number
    part = min(1.0, MOST_PICTURES / max(1, counts.total()))
    numbers = [round(part * number) for number in counts.values()]
    runs = np.repeat(np.array([run_id for run_id, _ in counts], dtype=np.int64), numbers)
    flags = np.repeat(np.array([has_failed for _, has_failed in counts], dtype=np.bool_), numbers)
    return Flags(flags, batches=runs, hosts=np.zeros(len(runs), dtype=np.int64))


def _find_disagreement(rows: Sequence[tuple[Any, ...]]) -> Flags:
    """Return which of the pictures that people labelled, without being shown what the version says, they contradict."""
    blind = Review.objects.filter(AnyOf("image", {row[0] for row in rows}), blind=True, withdrawn_at__isnull=True)
    said = dict(blind.exclude(verdict=Verdict.UNUSABLE).order_by("pk").values_list("image_id", "group"))
    judged = [row for row in rows if row[0] in said]
    return Flags(
        np.array([said[row[0]] != row[4] for row in judged], dtype=np.bool_),
        batches=np.array([row[1] for row in judged], dtype=np.int64),
        hosts=np.zeros(len(judged), dtype=np.int64),
    )

"""The pictures of a drift check's window: those that drive a difference, and how many of all are labelled right."""

from collections import defaultdict
from typing import Any, Final

import numpy as np
from django.db.models import F, QuerySet

from catalog.values import find_host
from classifier.audit.selectors import RIGHT, judge_answer
from classifier.ml.judging.corrected import ConfidentStratum, estimate_corrected
from classifier.ml.judging.sampling import find_band
from classifier.ml.judging.shares import Share
from classifier.models import AuditRound, AuditSample, Classification, DriftCheck, Review, Verdict
from classifier.monitoring.windows import MOST_PICTURES, NO_HOST
from config.db.arrays import AnyOf

#: What an alarm is about that no single part drives.
WHOLE_WINDOW: Final = "the newest pictures"
_FIELDS: Final = ("image_id", "run_id", "group", "confidence", "image__url")


def list_segment_images(check: DriftCheck, segment: str) -> list[int]:
    """Return the images of a check's window that are in the segment; of a large window of some, evenly spread."""
    rows = _list_evenly(_find_window(check))
    return [row[0] for row in rows if segment in (WHOLE_WINDOW, *_name_parts(row))]


def estimate_window(check: DriftCheck, *, asked: AuditRound | None = None) -> Share:
    """Return the share of a window's pictures that its version names rightly, by what the audits' answers tell.

    With the round that was `asked` because of an alarm it is the share of the pictures of that segment; without, only
    answers count that were asked for at random from all of the catalogue. The value is None for fewer than 30.
    """
    window = _find_window(check)
    segment = asked.segment if asked is not None else WHOLE_WINDOW
    answers = _read_answers(window, everywhere=asked is None)
    rows = _list_evenly(window)
    weight = window.count() / len(rows) if rows else 0.0
    confidences: dict[Any, list[float]] = defaultdict(list)
    for row in rows:
        if segment in (WHOLE_WINDOW, *_name_parts(row)):
            confidences[_find_stratum(row)].append(row[3])
    judged: dict[Any, list[tuple[float, float]]] = defaultdict(list)
    for row in window.filter(AnyOf("image", answers)).values_list(*_FIELDS):
        if segment in (WHOLE_WINDOW, *_name_parts(row)):
            verdict, group = answers[row[0]]
            told = np.nan if verdict == Verdict.UNUSABLE else float(judge_answer(row[2], verdict, group) == RIGHT)
            judged[_find_stratum(row)].append((row[3], told))
    return estimate_corrected(
        [
            _build_stratum(confidences[stratum], judged[stratum], weight=weight)
            for stratum in sorted({*confidences, *judged})
        ]
    )


def _find_window(check: DriftCheck) -> QuerySet[Any, Any]:
    ids = (check.window_from, check.window_until)
    return Classification.objects.filter(model_version=check.model_version_id, pk__range=ids).order_by()


def _list_evenly(window: QuerySet[Any, Any]) -> list[tuple[Any, ...]]:
    step = -(-window.count() // MOST_PICTURES)
    some = window.annotate(place=F("pk") % step).filter(place=0) if step > 1 else window
    return list(some.order_by("pk").values_list(*_FIELDS))


def _read_answers(window: QuerySet[Any, Any], *, everywhere: bool) -> dict[int, tuple[str, str]]:
    """Return verdict and group of the audits' answers to pictures of the window, by image; `everywhere` as above."""
    asked = Review.objects.filter(blind=True, inclusion_probability__isnull=False, withdrawn_at__isnull=True)
    if everywhere:
        asked = asked.filter(image__in=AuditSample.objects.filter(round__segment="").values("image"))
    rows = asked.filter(image__in=window.values("image")).order_by("pk").values_list("image_id", "verdict", "group")
    return {image_id: (verdict, group) for image_id, verdict, group in rows}


def _name_parts(row: tuple[Any, ...]) -> tuple[str, str, str]:
    """Return what a check may name as the segment that a picture is in."""
    return f"host {find_host(row[4]) or NO_HOST}", f"labelling run {row[1]}", f"group {row[2]}"


def _find_stratum(row: tuple[Any, ...]) -> tuple[str, int]:
    return row[2], find_band(row[3])


def _build_stratum(confidences: list[float], judged: list[tuple[float, float]], *, weight: float) -> ConfidentStratum:
    size = max(round(weight * len(confidences)), len(judged))
    told = np.array(judged, dtype=np.float64).reshape(-1, 2)
    mean = float(np.mean(confidences or told[:, 0]))
    return ConfidentStratum(size=size, drawn=size, mean=mean, confidences=told[:, 0], right=told[:, 1])

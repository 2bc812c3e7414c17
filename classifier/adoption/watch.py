"""The watch after an activation: are the labels that came what the version's impact promised?

It is asked once, when the adoption is done and nothing that it missed is left to label; of failures already before, so
that what fails everywhere is not found out at the end. A departure is an alarm on the version's page, which offers the
way back; nothing goes back by itself, unless the setting WATCH_ROLLS_BACK says so.
"""

import logging
from collections.abc import Mapping
from typing import Any, Final

from django.conf import settings
from django.db import transaction
from django.db.models import Count

from catalog.models import ProductLabel
from classifier.adoption.impact import OUTCOMES, name_outcome
from classifier.adoption.reports import describe_departure
from classifier.adoption.services import Asker, StageError, Way, roll_back
from classifier.labels.decision import Decision
from classifier.ml.artefacts import ArtefactError
from classifier.ml.judging.shares import LEAST_COUNT
from classifier.models import AdoptionRun, LabelTask, ModelVersion

logger = logging.getLogger(__name__)

Watch = AdoptionRun.Watch
#: A share that is another by less is no departure, however sure that is.
LEAST_DIFFERENCE: Final = 0.03
#: So many standard errors lie between shares that are taken for others: once in 1,000 watches by chance, of 10 shares.
STANDARD_ERRORS: Final = 3.9
#: From so many pictures on, of which more than that share failed for good, a version is not what was promised.
FAILURES_OF, MOST_FAILURES = 200, 0.2


def watch_adoptions() -> int:
    """Judge the adoptions whose labels are there; return how many were judged."""
    judged = 0
    for run in AdoptionRun.objects.filter(watch=Watch.WATCHING).select_related("model_version", "labelling_run"):
        if run.model_version.stage != ModelVersion.Stage.PRODUCTION or run.state == AdoptionRun.State.CANCELLED:
            found: dict[str, Any] | None = {}
        else:
            found = _judge(run)
        if found is None:
            continue
        watch = Watch.DEPARTED if found.get("departures") else Watch.KEPT if found else Watch.NONE
        # One transaction: what ends this process before it went back leaves the run to be judged again.
        with transaction.atomic():
            is_judged = AdoptionRun.objects.filter(pk=run.pk, watch=Watch.WATCHING).update(watch=watch, watched=found)
            judged += is_judged
            if is_judged and watch == Watch.DEPARTED:
                reason = describe_departure(found)
                logger.error("version %s: %s", run.model_version.name, reason)
                if settings.WATCH_ROLLS_BACK:
                    _go_back(reason)
    return judged


def _go_back(reason: str) -> None:
    """Go back, if it is known to what; whatever forbids it is logged, for a person to see to."""
    try:
        roll_back(reason=reason, asker=Asker(Way.WATCH))
    except (ArtefactError, StageError) as error:
        logger.error("the watch could not go back: %s", error)


def _judge(run: AdoptionRun) -> dict[str, Any] | None:
    """Return what was found, as plain JSON, or None while it cannot be said."""
    failed, tried = _count_failures(run)
    departures = []
    if tried >= FAILURES_OF and failed > MOST_FAILURES * tried:
        departures.append(f"{failed:,} of {tried:,} pictures failed.")
    labelling = run.labelling_run
    is_labelled = run.state == AdoptionRun.State.DONE and not (labelling is not None and labelling.is_open)
    if not departures and not is_labelled:
        return None
    mix = _count_mix(run) if is_labelled else {}
    departures += _compare(run.promised["mix"], mix)
    return {"mix": mix, "failed": failed, "tried": tried, "departures": departures}


def _count_failures(run: AdoptionRun) -> tuple[int, int]:
    if run.labelling_run_id is None:
        return 0, 0
    State = LabelTask.State
    tasks = LabelTask.objects.filter(run=run.labelling_run_id, state__in=[State.DONE, State.FAILED]).order_by()
    numbers = dict(tasks.values_list("state").annotate(number=Count("pk")))
    return numbers.get(State.FAILED, 0), sum(numbers.values())


def _count_mix(run: AdoptionRun) -> dict[str, int]:
    """Return how many labels of the run's version come to what."""
    labels = ProductLabel.objects.filter(model_version=run.model_version_id, source=ProductLabel.Source.MACHINE)
    rows = labels.order_by().values_list("status", "group").annotate(number=Count("pk"))
    mix: dict[str, int] = {}
    for status, group, number in rows:
        name = name_outcome(Decision(status=status, group=group))
        mix[name] = mix.get(name, 0) + number
    return mix


def _compare(promised: Mapping[str, int], found: Mapping[str, int]) -> list[str]:
    """Return in sentences which shares are others than promised; nothing of few labels."""
    of, total = sum(promised.values()), sum(found.values())
    if min(of, total) < LEAST_COUNT:
        return []
    sentences = []
    for name in OUTCOMES:
        expected, share = promised.get(name, 0) / of, found.get(name, 0) / total
        pooled = (promised.get(name, 0) + found.get(name, 0)) / (of + total)
        error = (pooled * (1 - pooled) * (1 / of + 1 / total)) ** 0.5
        if abs(share - expected) > max(LEAST_DIFFERENCE, STANDARD_ERRORS * error):
            sentences.append(f"{100 * share:.1f} % are {name.replace('_', ' ')}, promised were {100 * expected:.1f} %.")
    return sentences

"""Drift checks, and the life of the alarms that follow from them."""

import logging
from dataclasses import asdict
from datetime import datetime
from typing import Any

from django.contrib.auth.models import User
from django.db import transaction
from django.db.models.functions import Now

from classifier.ml.judging.drift import (
    BATCHES,
    FEATURES,
    HOSTS,
    LEVEL,
    MIX,
    STATISTICS,
    Comparison,
    DriftInputError,
    Driver,
    Test,
    compare,
)
from classifier.ml.labels import GARMENTS, GROUPS, group_probabilities
from classifier.models import Alarm, Classification, DriftCheck, ModelVersion
from classifier.monitoring.follow_up import AlarmStateError, end_follow_ups, follow_up_due_alarms
from classifier.monitoring.windows import WINDOW_PICTURES, Pictures, Stretch, find_reference, find_window, read_sides
from classifier.registry.selectors import find_active_model_version, get_active_model_version

logger = logging.getLogger(__name__)

Signal, State = Alarm.Signal, Alarm.State


def check_drift(*, pictures: int | None = None, since: datetime | None = None, user: User | None = None) -> DriftCheck:
    """Compare the newest pictures of the version in production with its reference; store the check and its alarms.

    The same window gives the same check, whoever asks. Raises `NoActiveModelVersionError`, and `DriftInputError` where
    there is nothing to compare; nothing is written then.
    """
    version = get_active_model_version()
    reference = find_reference(version)
    window = find_window(version, reference, pictures=pictures, since=since)
    before, now = read_sides(version, reference=reference, window=window)
    comparison = compare(before.side, now.side, seed=window.last)
    return record_check(version, reference, window, comparison, pictures=now, user=user)


def check_drift_when_due() -> DriftCheck | None:
    """Check once the version in production has labelled a window more of pictures since it was checked last.

    Return the check; None where it is not time yet, or there is nothing to compare.
    """
    version = find_active_model_version()
    if version is None:
        return None
    last = DriftCheck.objects.filter(model_version=version).first()
    later = Classification.objects.filter(model_version=version, pk__gt=last.window_until if last else 0).order_by("pk")
    if not later.values_list("pk", flat=True)[WINDOW_PICTURES - 1 : WINDOW_PICTURES]:
        return None
    try:
        return check_drift()
    except DriftInputError as error:
        logger.info("drift of version %s cannot be told: %s", version.name, error)
        return None


@transaction.atomic
def record_check(
    version: ModelVersion,
    reference: Stretch,
    window: Stretch,
    comparison: Comparison,
    *,
    pictures: Pictures,
    user: User | None = None,
) -> DriftCheck:
    """Write a check, and what becomes of alarms by it: one that differs begins, confirms or renews its signal's."""
    check = DriftCheck.objects.create(
        model_version=version,
        requested_by=user,
        reference_until=reference.last,
        window_from=window.first,
        window_until=window.last,
        window_since=window.since,
        reference_pictures=comparison.reference,
        window_pictures=comparison.window,
        is_different=comparison.is_different,
        permuted=comparison.tests[0].permuted,
        level=LEVEL,
        false_alarm_rate=comparison.false_alarms,
        tests=[_describe_test(test, pictures=pictures) for test in comparison.tests],
        findings={
            "reference_mix": _build_mix(comparison.reference_mix),
            "window_mix": _build_mix(comparison.window_mix),
            "another_mix": comparison.is_another_mix,
            "left_by_mix": round(comparison.left_by_mix, 4),
            "driver": _describe_driver(comparison.driver, pictures=pictures),
            "images": [pictures.images[index] for index in comparison.shown],
        },
    )
    check.refresh_from_db(fields=["created_at"])
    _follow_alarms(check, comparison, pictures=pictures)
    return check


def acknowledge_alarm(alarm_id: int, *, user: User) -> Alarm:
    """Say that somebody knows of the alarm. Raises `AlarmStateError` for one that is only suspected, or closed."""
    return _move_alarm(alarm_id, {State.ALARM}, State.ACKNOWLEDGED, acknowledged_at=Now(), acknowledged_by=user)


def close_alarm(alarm_id: int, *, user: User) -> Alarm:
    """Say that the alarm is settled, or was none; a later check may begin another one. Closing twice is no error.

    Nobody is asked any more about what it was about, and a training that still waits for that is cancelled.
    """
    with transaction.atomic():
        alarm = _move_alarm(
            alarm_id, {State.SUSPECTED, State.ALARM, State.ACKNOWLEDGED}, State.CLOSED, closed_at=Now(), closed_by=user
        )
        end_follow_ups(Alarm.objects.filter(pk=alarm.pk))
    alarm.refresh_from_db()
    return alarm


def _move_alarm(alarm_id: int, sources: set[Alarm.State], target: Alarm.State, **fields: Any) -> Alarm:
    with transaction.atomic():
        alarm = Alarm.objects.select_for_update().get(pk=alarm_id)
        if alarm.state in sources:
            Alarm.objects.filter(pk=alarm.pk).update(state=target, **fields)
        elif alarm.state != target:
            expected = " or ".join(sorted(sources))
            raise AlarmStateError(f"Expected an alarm that is {expected}; alarm {alarm.pk} is {alarm.state}.")
    alarm.refresh_from_db()
    return alarm


def _follow_alarms(check: DriftCheck, comparison: Comparison, *, pictures: Pictures) -> None:
    """Begin, confirm, renew or end the alarm of each signal; those of versions that left production end."""
    # One check at a time: two that begin the same signal's alarm would be one too many.
    ModelVersion.objects.select_for_update(no_key=True).get(pk=check.model_version_id)
    is_open = Alarm.objects.exclude(state=State.CLOSED)
    of_others = is_open.exclude(model_version=check.model_version_id)
    end_follow_ups(of_others)
    of_others.update(state=State.CLOSED, closed_at=Now())
    standing = {alarm.signal: alarm for alarm in is_open.select_related("last_check")}
    found = {test.name for test in comparison.tests if test.is_different}
    for signal in Signal:
        alarm = standing.get(signal)
        if signal in found:
            segment = _name_segment(signal, comparison, pictures=pictures)
            if alarm is None:
                Alarm.objects.create(
                    signal=signal,
                    model_version_id=check.model_version_id,
                    first_check=check,
                    last_check=check,
                    segment=segment,
                )
                continue
            fields: dict[str, Any] = {"last_check": check, "segment": segment}
            # The same pictures again would only repeat themselves.
            if alarm.state == State.SUSPECTED and check.window_from > alarm.first_check.window_until:
                fields |= {"state": State.ALARM, "confirmed_at": Now()}
            Alarm.objects.filter(pk=alarm.pk).update(**fields)
        elif (
            alarm is not None and alarm.state == State.SUSPECTED and check.window_until > alarm.first_check.window_until
        ):
            Alarm.objects.filter(pk=alarm.pk).update(state=State.CLOSED, closed_at=Now())
    follow_up_due_alarms(is_open.filter(last_check=check))


def _name_segment(signal: str, comparison: Comparison, *, pictures: Pictures) -> str:
    """Return which part drives a signal, in words; empty where no single one does, and for what is no picture."""
    if signal == MIX:
        change = _sum_groups(comparison.window_mix) - _sum_groups(comparison.reference_mix)
        return f"group {GROUPS[int(abs(change).argmax())]}"
    driver = comparison.driver if signal in (FEATURES, STATISTICS) else None
    return _name_part(driver.kind, driver.value, pictures=pictures) if driver else ""


def _name_part(kind: str, value: int, *, pictures: Pictures) -> str:
    if kind == HOSTS:
        return f"host {pictures.hosts[value]}"
    return f"labelling run {value}" if kind == BATCHES else f"group {GROUPS[value]}"


def _describe_test(test: Test, *, pictures: Pictures) -> dict[str, Any]:
    return asdict(test) | {"segment": _name_part(*test.segment, pictures=pictures) if test.segment else ""}


def _describe_driver(driver: Driver | None, *, pictures: Pictures) -> dict[str, Any] | None:
    if driver is None:
        return None
    return {
        "name": _name_part(driver.kind, driver.value, pictures=pictures),
        "pictures": driver.pictures,
        "share_of_pictures": round(driver.share_of_pictures, 4),
        "share_of_difference": round(driver.share_of_difference, 4),
    }


def _sum_groups(mix: Any) -> Any:
    """Return the shares of the groups, float64[5], of those of the garments, float64[10]."""
    return group_probabilities(mix[None])[0]


def _build_mix(mix: Any) -> dict[str, float]:
    return {name: round(float(share), 4) for name, share in zip(GARMENTS, mix, strict=True)}

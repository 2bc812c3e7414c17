"""What an alarm of drift leads to: people are asked about what differs, and a training waits for what they say."""

from datetime import datetime, timedelta
from typing import Final

from django.conf import settings
from django.db import transaction
from django.db.models import QuerySet
from django.db.models.functions import Now

from classifier.audit.drawing import draw_round
from classifier.models import Alarm, AuditRound, ModelVersion, TrainingRun
from classifier.monitoring.segments import WHOLE_WINDOW, list_segment_images
from classifier.training.reviewed import RECIPE
from classifier.training.waiting import create_waiting_training
from config.db.clock import get_database_time

Signal, State = Alarm.Signal, Alarm.State
#: So many products are drawn, of which so many answers, or all where there are fewer, let the training begin.
AUDIT_SIZE: Final = 200
ANSWERS: Final = 100


class AlarmStateError(Exception):
    """Something was to be done with an alarm that does not stand where it can be; the message says where it is."""


@transaction.atomic
def follow_up_alarm(alarm_id: int) -> Alarm:
    """Open the audit and the training of an alarm now, whatever was opened before; twice is no error.

    Raises `AlarmStateError` for one that is only suspected, or closed, and where there is nobody to ask about.
    """
    alarm = Alarm.objects.select_related("last_check").get(pk=alarm_id)
    # One at a time, as checks are.
    ModelVersion.objects.select_for_update(no_key=True).get(pk=alarm.model_version_id)
    alarm.refresh_from_db()
    if alarm.state not in (State.ALARM, State.ACKNOWLEDGED):
        raise AlarmStateError(f"Expected an alarm that is alarm or acknowledged; alarm {alarm.pk} is {alarm.state}.")
    if alarm.audit is None and not _open(alarm):
        raise AlarmStateError(
            f"Expected labels of machines among what alarm {alarm.pk} is about that nobody is asked about; found none."
        )
    return alarm


def follow_up_due_alarms(alarms: QuerySet[Alarm]) -> None:
    """Open an audit and a training for the first of the confirmed alarms that have none, if none was of late."""
    waiting = alarms.filter(state__in=[State.ALARM, State.ACKNOWLEDGED], audit=None).order_by("pk")
    for alarm in waiting.select_related("last_check"):
        if find_cooling_end(alarm.model_version_id) is None:
            _open(alarm)


def find_cooling_end(version_id: int) -> datetime | None:
    """Return until when alarms of a version open nothing by themselves, as one did; None where they do."""
    last = AuditRound.objects.filter(model_version=version_id).exclude(segment="").order_by("-drawn_at").first()
    if last is None:
        return None
    end = last.drawn_at + timedelta(days=settings.DRIFT_COOLDOWN_DAYS)
    return end if end > get_database_time() else None


def end_follow_ups(alarms: QuerySet[Alarm]) -> None:
    """Ask nobody any more about what these alarms are about, and cancel the trainings that still wait."""
    AuditRound.objects.filter(pk__in=alarms.values("audit"), closed_at=None).update(closed_at=Now())
    TrainingRun.objects.filter(pk__in=alarms.values("training_run"), state=TrainingRun.State.WAITING).cancel()


def _open(alarm: Alarm) -> bool:
    """Draw the audit and save the training; return whether there was anything to ask about.

    Of pictures that failed nobody can say what they show.
    """
    if alarm.signal == Signal.FAILURES:
        return False
    segment = alarm.segment or WHOLE_WINDOW
    audit = draw_round(
        version_id=alarm.model_version_id,
        size=AUDIT_SIZE,
        image_ids=list_segment_images(alarm.last_check, segment),
        segment=segment,
    )
    if audit is None:
        return False
    answers = min(ANSWERS, audit.samples.values("image").distinct().count())
    alarm.audit, alarm.training_run = audit, create_waiting_training(audit, answers=answers, recipe=RECIPE)
    alarm.save(update_fields=["audit", "training_run"])
    return True

"""Checks whether the pictures of late are still those that the version in production knows, and their alarms."""

from django.conf import settings
from django.db import models
from django.db.models import Q
from django.db.models.functions import Now

from classifier.models.audit import AuditRound
from classifier.models.reviews import PROBABILITY_VALIDATORS
from classifier.models.trainings import TrainingRun
from classifier.models.versions import ModelVersion


class DriftCheck(models.Model):
    """What one window of a version's classifications said beside the version's reference. Append-only.

    Reference and window are ranges of ids of classifications; of more pictures than a check looks at it took some,
    evenly. The reference of a version's first check is that of all others.
    """

    model_version = models.ForeignKey(ModelVersion, on_delete=models.PROTECT, related_name="drift_checks")
    requested_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.SET_NULL, null=True, blank=True, related_name="+"
    )
    created_at = models.DateTimeField(db_default=Now())
    reference_until = models.BigIntegerField(help_text="The last classification of the reference.")
    window_from = models.BigIntegerField(help_text="The first classification of the window.")
    window_until = models.BigIntegerField(help_text="Its last one.")
    window_since = models.DateTimeField(help_text="When its first picture was classified.")
    reference_pictures = models.PositiveIntegerField()
    window_pictures = models.PositiveIntegerField()
    is_different = models.BooleanField()
    permuted = models.CharField(max_length=16, help_text="What was shuffled: batches, hosts or pictures.")
    level = models.FloatField(validators=PROBABILITY_VALIDATORS)
    false_alarm_rate = models.FloatField(
        validators=PROBABILITY_VALIDATORS,
        help_text="Of windows mixed at random of both sides the share that would have been said to be different.",
    )
    tests = models.JSONField(help_text="The tests with their p-values and effects.")
    findings = models.JSONField(help_text="The mix of both sides, what drives a difference, and pictures that show it.")

    class Meta:
        ordering = ["-id"]

    def __str__(self) -> str:
        return f"drift check {self.pk} ({'different' if self.is_different else 'not different'})"


class Alarm(models.Model):
    """That pictures of late differ: suspected after one check, an alarm after a second with other pictures.

    It says *different*, never *worse*. At most one of a signal is open; a person acknowledges and closes it. What was
    only suspected closes by itself when a check finds it no more. `audit` is the sample that was drawn for it, and
    `training_run` the training that waits for the answers.
    """

    class Signal(models.TextChoices):
        """What differs, by the test that says so."""

        FEATURES = "features", "What networks see in pictures"
        STATISTICS = "statistics", "Light, sharpness and size of pictures"
        MIX = "mix", "The mix of groups"
        FAILURES = "failures", "Pictures that fail"
        DISAGREEMENT = "disagreement", "Labels that people contradict"

    class State(models.TextChoices):
        SUSPECTED = "suspected"
        ALARM = "alarm"
        ACKNOWLEDGED = "acknowledged"
        CLOSED = "closed"

    signal = models.CharField(max_length=16, choices=Signal)
    state = models.CharField(max_length=16, choices=State, default=State.SUSPECTED)
    model_version = models.ForeignKey(ModelVersion, on_delete=models.PROTECT, related_name="alarms")
    first_check = models.ForeignKey(DriftCheck, on_delete=models.PROTECT, related_name="+")
    last_check = models.ForeignKey(DriftCheck, on_delete=models.PROTECT, related_name="+")
    segment = models.CharField(max_length=255, blank=True, help_text="Which part drives it. Empty: no single one.")
    audit = models.ForeignKey(AuditRound, on_delete=models.SET_NULL, null=True, blank=True, related_name="+")
    training_run = models.ForeignKey(TrainingRun, on_delete=models.SET_NULL, null=True, blank=True, related_name="+")
    created_at = models.DateTimeField(db_default=Now())
    confirmed_at = models.DateTimeField(null=True, blank=True)
    acknowledged_at = models.DateTimeField(null=True, blank=True)
    acknowledged_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.PROTECT, null=True, blank=True, related_name="+"
    )
    closed_at = models.DateTimeField(null=True, blank=True)
    closed_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.PROTECT, null=True, blank=True, related_name="+"
    )

    class Meta:
        ordering = ["-id"]
        constraints = [
            models.UniqueConstraint(fields=["signal"], condition=~Q(state="closed"), name="alarm_one_open_of_signal"),
        ]

    def __str__(self) -> str:
        return f"alarm {self.pk}: {self.get_signal_display()} ({self.state})"

    @property
    def is_open(self) -> bool:
        """Whether it has not been closed."""
        return self.state != self.State.CLOSED

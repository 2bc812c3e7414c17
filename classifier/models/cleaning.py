"""The rounds in which workers remove what nothing shows."""

from django.db import models
from django.db.models import Q

from classifier.models.runs import Run


class CleaningRun(Run):
    """A round of cleaning: how far it has come, by phase and place within it, and what it has removed so far."""

    phase = models.CharField(max_length=16, default="images")
    after = models.BigIntegerField(default=0)
    figures = models.JSONField(default=dict)

    class Meta(Run.Meta):
        default_permissions = ("view",)
        constraints = [
            models.UniqueConstraint(fields=["state"], condition=Q(state="running"), name="cleaningrun_one_running"),
        ]

    def __str__(self) -> str:
        return f"cleaning run {self.pk} ({self.state})"

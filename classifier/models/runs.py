"""What every run in the background has in common: one life, from being asked for to its end."""

from django.conf import settings
from django.db import models
from django.db.models.functions import Now


class RunState(models.TextChoices):
    """Where a run is in its life; a kind of run may skip some."""

    QUEUED = "queued"
    RUNNING = "running"
    DONE = "done"
    FAILED = "failed"
    CANCELLED = "cancelled"
    ABANDONED = "abandoned"


OPEN_STATES = (RunState.QUEUED, RunState.RUNNING)


class Run(models.Model):
    """A job that workers do, asked for and followed through its row.

    `done`, `failed` and `total` count the same things: pictures, products or epochs. They are final once the run has
    ended. A message on the queue is a hint; what was `sent_at` and not taken up is sent again.
    """

    State = RunState
    # Whose workers do it.
    queue = "labelling"

    state = models.CharField(max_length=16, choices=RunState, default=RunState.RUNNING)
    requested_by = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.SET_NULL, null=True, blank=True)
    created_at = models.DateTimeField(db_default=Now())
    started_at = models.DateTimeField(null=True, blank=True)
    finished_at = models.DateTimeField(null=True, blank=True)
    total = models.PositiveIntegerField(default=0, db_default=0)
    done = models.PositiveIntegerField(default=0, db_default=0)
    failed = models.PositiveIntegerField(default=0, db_default=0)
    cancel_requested = models.BooleanField(default=False, db_default=False)
    heartbeat_at = models.DateTimeField(null=True, blank=True)
    sent_at = models.DateTimeField(null=True, blank=True, help_text="When it was last put on the queue.")
    error = models.TextField(blank=True, default="", db_default="")

    class Meta:
        abstract = True
        ordering = ["-id"]

    @property
    def is_open(self) -> bool:
        """Whether the run has not ended."""
        return self.state in OPEN_STATES

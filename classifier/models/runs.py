"""What every run in the background has in common: one life, from being asked for to its end."""

from django.conf import settings
from django.db import models
from django.db.models.functions import Now


class RunState(models.TextChoices):
    """Where a run is in its life; a kind of run may skip some."""

    WAITING = "waiting"
    QUEUED = "queued"
    RUNNING = "running"
    DONE = "done"
    FAILED = "failed"
    CANCELLED = "cancelled"
    ABANDONED = "abandoned"


OPEN_STATES = (RunState.WAITING, RunState.QUEUED, RunState.RUNNING)


class RunQuerySet(models.QuerySet):
    """Runs of one kind."""

    def cancel(self, **fields: object) -> int:
        """End those of the runs that have not ended as cancelled, with these fields as well; return how many."""
        cancelled = {"state": RunState.CANCELLED, "cancel_requested": True, "finished_at": Now()}
        return self.filter(state__in=OPEN_STATES).update(**cancelled, **fields)


class Run(models.Model):
    """A job that workers do, asked for and followed through its row.

    `done`, `failed` and `total` count the same things: pictures, products or epochs. They are final once the run has
    ended. A message on the queue is a hint; what was `sent_at` and not taken up is sent again. `cancel_requested` stays
    true once somebody, or an activation, asked for the end; a training that runs ends at its next step.
    """

    State = RunState
    # Whose workers do it.
    queue: str = settings.STEPS_QUEUE

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

    objects = RunQuerySet.as_manager()

    class Meta:
        abstract = True
        ordering = ["-id"]

    @property
    def is_open(self) -> bool:
        """Whether the run has not ended."""
        return self.state in OPEN_STATES

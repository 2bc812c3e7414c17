"""Whether somebody works on a queue: what the canaries that workers send through their own queues left in the database.

Who sends them is `classifier.worker.canaries`.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta

from django.conf import settings
from django.db.models import BooleanField, ExpressionWrapper, Q, QuerySet
from django.db.models.functions import Coalesce, Now
from django.utils.dateformat import format as format_date

from classifier.models import QueueCanary, TrainingRun


@dataclass(frozen=True, slots=True)
class QueueHealth:
    """A queue: when a canary last came back through it, and whether that is long ago or never happened."""

    queue: str
    seen_at: datetime | None
    stale: bool

    @property
    def sentence(self) -> str:
        """What to tell people before the `command`; nothing while a worker is there."""
        if not self.stale:
            return ""
        since = f"since {format_date(self.seen_at, 'j M Y, H:i')} UTC" if self.seen_at else "yet"
        return f"No worker of the {self.queue} queue was seen {since}. What is asked for waits until one runs:"

    @property
    def command(self) -> str:
        """How one is started."""
        return f"celery -A config worker -Q {self.queue}"


def list_queue_health() -> list[QueueHealth]:
    """Return the health of every queue that a worker ever served, by name; in two queries at most.

    The training queue is well while a training with a heartbeat occupies its worker.
    """
    return _list_health(QueueCanary.objects.order_by("queue"))


def find_queue_health(queue: str) -> QueueHealth:
    """Return the health of one queue; one that no worker ever served is stale."""
    known = _list_health(QueueCanary.objects.filter(queue=queue))
    return known[0] if known else QueueHealth(queue, None, stale=True)


def _list_health(canaries: QuerySet[QueueCanary]) -> list[QueueHealth]:
    late = Q(last__lt=Now() - timedelta(seconds=settings.CANARY_STALE_SECONDS))
    rows = canaries.annotate(last=Coalesce("done_at", "created_at")).annotate(
        is_late=ExpressionWrapper(late, BooleanField())
    )
    return [
        QueueHealth(queue, done_at, is_late and not (queue == TrainingRun.queue and _is_training()))
        for queue, done_at, is_late in rows.values_list("queue", "done_at", "is_late")
    ]


def _is_training() -> bool:
    alive = Now() - timedelta(seconds=settings.TRAINING_HEARTBEAT_SECONDS)
    return TrainingRun.objects.filter(state=TrainingRun.State.RUNNING, heartbeat_at__gte=alive).exists()

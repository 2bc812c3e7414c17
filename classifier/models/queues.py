"""What is known of the broker's queues."""

from datetime import timedelta

from django.db import models
from django.db.models import Q
from django.db.models.functions import Now


def is_unsent(*, resend_after: timedelta) -> Q:
    """Find rows that were never put on the queue, or so long ago that the message must be lost."""
    return Q(sent_at__isnull=True) | Q(sent_at__lt=Now() - resend_after)


class QueueCanary(models.Model):
    """A queue and the last message that came back through it: whether its workers take up what is sent to them."""

    queue = models.CharField(max_length=64, primary_key=True)
    created_at = models.DateTimeField(db_default=Now())
    sent_at = models.DateTimeField(null=True, blank=True)
    done_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        verbose_name_plural = "queue canaries"

    def __str__(self) -> str:
        return f"canary of the queue {self.queue}"

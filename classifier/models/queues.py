"""What is known of the broker's queues."""

from django.db import models
from django.db.models.functions import Now


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

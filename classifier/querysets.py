"""The ledger's vocabulary: which rows may be claimed, sent, or are given up."""

from datetime import timedelta

from django.db import models
from django.db.models import Q
from django.db.models.functions import Now


class LabelTaskQuerySet(models.QuerySet):
    """Reads of the labelling ledger. Every comparison with the time uses the database's clock."""

    def open(self) -> "LabelTaskQuerySet":
        """Tasks that keep their run open: to do, or being done."""
        return self.filter(state__in=["new", "running"])

    def due(self) -> "LabelTaskQuerySet":
        """Tasks whose time to be tried has come."""
        return self.filter(state__in=["new", "retry"], next_try_at__lte=Now())

    def unsent(self, *, resend_after: timedelta) -> "LabelTaskQuerySet":
        """Tasks that are not on the queue, or were sent so long ago that the message must be lost."""
        return self.filter(Q(sent_at__isnull=True) | Q(sent_at__lt=Now() - resend_after))

    def lease_expired(self) -> "LabelTaskQuerySet":
        """Tasks whose worker did not come back in time."""
        return self.filter(state="running", lease_until__lt=Now())

    def errors(self) -> "LabelTaskQuerySet":
        """The error queue: tasks that failed, whether they will be tried again, are given up, or are ignored."""
        return self.filter(state__in=["retry", "failed", "ignored"])


class ClassificationQuerySet(models.QuerySet):
    """Reads of what model versions said."""

    def newest(self) -> "ClassificationQuerySet":
        """The classification of the latest run for each image; at most one an image."""
        newest = self.model._default_manager.filter(image=models.OuterRef("image")).order_by("-run_id").values("pk")
        return self.filter(pk=models.Subquery(newest[:1]))


class ReviewQuerySet(models.QuerySet):
    """Reads of what people said."""

    def newest(self) -> "ReviewQuerySet":
        """The newest review of each image; at most one an image."""
        newest = self.model._default_manager.filter(image=models.OuterRef("image")).order_by("-pk").values("pk")
        return self.filter(pk=models.Subquery(newest[:1]))

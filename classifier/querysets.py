"""The ledger's vocabulary: which rows may be claimed, sent, or are given up."""

from datetime import timedelta
from typing import Any

from django.db import models
from django.db.models import F, Q
from django.db.models.functions import Now


class LabellingRunQuerySet(models.QuerySet):
    """Reads of labelling runs."""

    def taking(self) -> "LabellingRunQuerySet":
        """Running runs that have not looked at all their pictures yet."""
        return self.filter(state="running", taken_until__lt=F("takes_until"))

    def closing(self) -> "LabellingRunQuerySet":
        """Cancelled runs with tasks that are still to be closed; nobody may begin these."""
        return self.filter(closing=True)


class LabelTaskQuerySet(models.QuerySet):
    """Reads of the labelling ledger. Every comparison with the time uses the database's clock."""

    def open(self) -> "LabelTaskQuerySet":
        """Tasks that keep their run open: to do, or being done."""
        return self.filter(state__in=["new", "running"])

    def due(self) -> "LabelTaskQuerySet":
        """Tasks whose time to be tried has come, but for those of runs that were cancelled meanwhile."""
        return self.filter(state__in=["new", "retry"], next_try_at__lte=Now()).of_no_closing_run()

    def of_no_closing_run(self) -> "LabelTaskQuerySet":
        """Tasks but for those that wait to be closed.

        Without a join, so that PostgreSQL checks the other conditions again on a row that changes while it waits.
        """
        runs: Any = self.model._meta.get_field("run").related_model
        return self.exclude(run__in=runs.objects.closing().order_by().values("pk"))

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

"""Labelling runs, the ledger of their tasks, and what versions said of pictures."""

from datetime import timedelta

from django.db import models
from django.db.models import F, Q
from django.db.models.functions import Now

from catalog.models import CONFIDENCE_VALIDATORS, GARMENT_CHOICES, GROUP_CHOICES, Image
from classifier.models.queues import is_unsent
from classifier.models.runs import Run, RunQuerySet
from classifier.models.versions import ModelVersion
from config.db.naming import name_related


class LabellingRunQuerySet(RunQuerySet):
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
        return self.exclude(run__in=LabellingRun.objects.closing().order_by().values("pk"))

    def unsent(self, *, resend_after: timedelta) -> "LabelTaskQuerySet":
        """Tasks that are not on the queue, or were sent so long ago that the message must be lost."""
        return self.filter(is_unsent(resend_after=resend_after))

    def lease_expired(self) -> "LabelTaskQuerySet":
        """Tasks whose worker did not come back in time."""
        return self.filter(state="running", lease_until__lt=Now())

    def errors(self) -> "LabelTaskQuerySet":
        """The error queue: tasks that failed, whether they will be tried again, are given up, or are ignored."""
        return self.filter(state__in=["retry", "failed", "ignored"])


class LabellingRun(Run):
    """A request to label pictures with one pinned model version; its progress is a count of its tasks by state.

    It takes its pictures in the order of their ids, some at a time: up to `taken_until` now, up to `takes_until` in
    the end. Those whose features are known are labelled from them then, and have no task. A cancelled run is `closing`
    for as long as it has tasks that are neither done nor closed. What an ended run had done is written in `figures`,
    and stays so whatever becomes of its pictures in later runs.
    """

    queue = "labelling"

    model_version = models.ForeignKey(ModelVersion, on_delete=models.PROTECT, related_name="labelling_runs")
    relabel = models.BooleanField(default=False)
    limit = models.PositiveIntegerField(null=True, blank=True, help_text="Empty: every picture.")
    taken_until = models.BigIntegerField(default=0, db_default=0, help_text="The last image that it looked at.")
    takes_until = models.BigIntegerField(default=0, db_default=0, help_text="The last image that it looks at.")
    closing = models.BooleanField(default=False, db_default=False, help_text="Cancelled, with tasks still to close.")
    idempotency_key = models.CharField(max_length=255, unique=True, null=True, blank=True)
    selected = models.BooleanField(default=False, db_default=False, help_text="Takes the images of its selection only.")
    features_only = models.BooleanField(
        default=False, db_default=False, help_text="Looks at pictures that we hold for their features, and labels none."
    )
    shadow = models.BooleanField(
        default=False, db_default=False, help_text="Asks a version that is not in production; no label moves."
    )
    sample = models.PositiveIntegerField(
        null=True, blank=True, help_text="Products drawn at random whose first pictures it takes. Empty: not drawn."
    )
    from_features = models.PositiveIntegerField(
        default=0, db_default=0, help_text="Pictures that it labelled from features, without a task."
    )
    figures = models.JSONField(null=True, blank=True, help_text="Of an ended run: its tasks by state, and its errors.")

    objects = LabellingRunQuerySet.as_manager()  # type: ignore[misc]  # in place of that of all runs

    def __str__(self) -> str:
        return f"labelling run {self.pk} ({self.state})"

    @property
    def is_taking(self) -> bool:
        """Whether there are pictures that the run has not looked at yet; its total grows until then."""
        return self.state == self.State.RUNNING and self.taken_until < self.takes_until


class SelectedImage(models.Model):
    """An image that a run over a selection has not taken yet; one that is gone meanwhile is passed over."""

    run = models.ForeignKey(LabellingRun, on_delete=models.CASCADE, related_name="selection", db_index=False)
    image_id = models.BigIntegerField()

    class Meta:
        default_permissions = ()
        constraints = [models.UniqueConstraint(fields=["run", "image_id"], name="selectedimage_run_image_unique")]

    def __str__(self) -> str:
        return f"image {self.image_id} of labelling run {self.run_id}"


class SampledProduct(models.Model):
    """A product that was drawn at random when a shadow run was started; one that is gone meanwhile is passed over."""

    run = models.ForeignKey(LabellingRun, on_delete=models.CASCADE, related_name="sampled", db_index=False)
    product_id = models.BigIntegerField()

    class Meta:
        default_permissions = ()
        constraints = [models.UniqueConstraint(fields=["run", "product_id"], name="sampledproduct_run_product_unique")]

    def __str__(self) -> str:
        return f"product {self.product_id} of labelling run {self.run_id}"


class LabelTask(models.Model):
    """The ledger: what is to be done, or was done, for one picture with one model version.

    A worker owns a row only while it holds the row's lease token; whoever lost the lease cannot finish it.
    """

    class State(models.TextChoices):
        NEW = "new"
        RUNNING = "running"
        DONE = "done"
        RETRY = "retry", "waiting for its next try"
        FAILED = "failed"
        IGNORED = "ignored"
        CANCELLED = "cancelled"

    image = models.ForeignKey(Image, on_delete=models.CASCADE, related_name="label_tasks", db_index=False)
    model_version = models.ForeignKey(ModelVersion, on_delete=models.PROTECT, related_name="label_tasks")
    run = models.ForeignKey(LabellingRun, on_delete=models.CASCADE, related_name="tasks", db_index=False)
    state = models.CharField(max_length=16, choices=State, default=State.NEW)
    attempts = models.PositiveIntegerField(default=0)
    crashes = models.PositiveIntegerField(default=0)
    lease_token = models.UUIDField(null=True, blank=True)
    lease_until = models.DateTimeField(null=True, blank=True)
    next_try_at = models.DateTimeField(db_default=Now())
    sent_at = models.DateTimeField(null=True, blank=True, help_text="When it was last put on the queue.")
    error_code = models.CharField(max_length=32, blank=True, default="")
    first_failed_at = models.DateTimeField(null=True, blank=True)
    last_failed_at = models.DateTimeField(null=True, blank=True)
    waits_for = models.CharField(
        max_length=32,
        blank=True,
        default="",
        db_default="",
        help_text="What keeps it waiting, through no fault of its own.",
    )
    waits_since = models.DateTimeField(null=True, blank=True)
    former = models.JSONField(
        null=True, blank=True, help_text="What it was in an earlier run, until it has a new result in this one."
    )

    objects = LabelTaskQuerySet.as_manager()

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["image", "model_version"], name="labeltask_image_version_unique"),
        ]
        indexes = [
            models.Index(fields=["run", "state"], name="labeltask_run_state"),
            models.Index(fields=["lease_token"], condition=Q(lease_token__isnull=False), name="labeltask_lease_token"),
            # The sweep reads open rows only, so its cost follows the work that is left, not the size of the ledger.
            models.Index(
                fields=["next_try_at", "id"], condition=Q(state__in=["new", "running", "retry"]), name="labeltask_open"
            ),
            models.Index(
                fields=["last_failed_at", "id"],
                condition=Q(state__in=["retry", "failed", "ignored"]),
                name="labeltask_errors",
            ),
            models.Index(
                fields=["error_code", "last_failed_at", "id"],
                condition=Q(state__in=["retry", "failed", "ignored"]),
                name="labeltask_errors_code",
            ),
        ]

    def __str__(self) -> str:
        return f"label task {self.pk} of {name_related(self, 'image')} ({self.state})"


class Classification(models.Model):
    """What one model version said of one picture in one run. Append-only."""

    image = models.ForeignKey(Image, on_delete=models.CASCADE, related_name="classifications", db_index=False)
    model_version = models.ForeignKey(
        ModelVersion, on_delete=models.PROTECT, related_name="classifications", db_index=False
    )
    run = models.ForeignKey(LabellingRun, on_delete=models.PROTECT, related_name="classifications", db_index=False)
    sha256 = models.CharField(max_length=64, help_text="Of the picture's bytes.")
    group = models.CharField(max_length=32, choices=GROUP_CHOICES)
    garment = models.CharField(max_length=32, choices=GARMENT_CHOICES)
    confidence = models.FloatField(validators=CONFIDENCE_VALIDATORS)
    abstained = models.BooleanField()
    garment_unsure = models.BooleanField(
        default=False, db_default=False, help_text="The group may stand, but the garment within it is not sure."
    )
    # Ten numbers in the order of GARMENTS; a group's probability is the sum of its garments'.
    garment_probabilities = models.JSONField()
    none_probability = models.FloatField(
        null=True,
        blank=True,
        validators=CONFIDENCE_VALIDATORS,
        help_text="How likely it shows none of the groups; empty where nothing taught that.",
    )
    created_at = models.DateTimeField(db_default=Now())

    class Meta:
        ordering = ["-id"]
        constraints = [
            models.UniqueConstraint(fields=["run", "image"], name="classification_run_image_unique"),
        ]
        indexes = [
            models.Index(fields=["image", "-run"], name="classification_image_latest"),
            # What a version said, for the cleaning.
            models.Index(fields=["model_version", "id"], name="classification_version"),
            # How many a run was not sure of.
            models.Index(fields=["run"], condition=Q(abstained=True), name="classification_unsure"),
        ]

    def __str__(self) -> str:
        return f"{self.group} for {name_related(self, 'image')} by {name_related(self, 'model_version')}"

"""The classifier's tables: model versions, runs, the ledger of labelling work, and what was said of each picture."""

from django.conf import settings
from django.core.validators import MaxValueValidator, MinValueValidator
from django.db import models
from django.db.models import Q
from django.utils import timezone

from catalog.models import Image, Product
from classifier.ml.labels import GARMENTS, GROUPS
from classifier.querysets import (
    ClassificationQuerySet,
    LabellingRunQuerySet,
    LabelTaskQuerySet,
    ReviewQuerySet,
)

GROUP_CHOICES = [(group, group) for group in GROUPS]
GARMENT_CHOICES = [(garment, garment) for garment in GARMENTS]
CONFIDENCE_VALIDATORS = [MinValueValidator(0.0), MaxValueValidator(1.0)]


class ModelVersion(models.Model):
    """A registered artefact. Its artefact columns never change; its stage does, by `STAGE_TRANSITIONS`."""

    class Stage(models.TextChoices):
        CANDIDATE = "candidate"
        ACTIVE = "active"
        RETIRED = "retired"

    # For people; the same weights trained twice on one day have the same name. The manifest's hash is the identity.
    name = models.CharField(max_length=100)
    folder = models.CharField(max_length=255, help_text="The artefact's folder below ARTEFACTS_DIR.")
    manifest_sha256 = models.CharField(max_length=64, unique=True)
    recipe = models.CharField(max_length=64)
    seed = models.BigIntegerField()
    metrics = models.JSONField(default=dict)
    stage = models.CharField(max_length=16, choices=Stage, default=Stage.CANDIDATE)
    created_at = models.DateTimeField(default=timezone.now)
    activated_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        ordering = ["-id"]
        constraints = [
            models.UniqueConstraint(fields=["stage"], condition=Q(stage="active"), name="modelversion_one_active"),
        ]

    def __str__(self) -> str:
        return self.name


STAGE_TRANSITIONS: dict[str, frozenset[str]] = {
    ModelVersion.Stage.CANDIDATE: frozenset({ModelVersion.Stage.ACTIVE}),
    ModelVersion.Stage.ACTIVE: frozenset({ModelVersion.Stage.RETIRED}),
    ModelVersion.Stage.RETIRED: frozenset({ModelVersion.Stage.ACTIVE}),
}


class TrainingRun(models.Model):
    """One training, asked for and followed through its row; at most one is running at any time."""

    class State(models.TextChoices):
        QUEUED = "queued"
        RUNNING = "running"
        DONE = "done"
        FAILED = "failed"
        CANCELLED = "cancelled"
        ABANDONED = "abandoned"

    recipe = models.CharField(max_length=64)
    seed = models.BigIntegerField()
    epochs = models.PositiveIntegerField(null=True, blank=True, help_text="Empty: as many as the recipe says.")
    limit = models.PositiveIntegerField(null=True, blank=True, help_text="Empty: every training picture.")
    activate = models.BooleanField(default=False)
    exclusive = models.BooleanField(default=False, help_text="Refused while another exclusive run is open.")
    requested_by = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.SET_NULL, null=True, blank=True)
    state = models.CharField(max_length=16, choices=State, default=State.QUEUED)
    cancel_requested = models.BooleanField(default=False)
    progress = models.JSONField(default=dict, help_text="Phase, epoch, step and the metrics of each epoch so far.")
    error = models.TextField(blank=True, default="")
    heartbeat_at = models.DateTimeField(null=True, blank=True)
    sent_at = models.DateTimeField(null=True, blank=True, help_text="When it was last put on the queue.")
    created_at = models.DateTimeField(default=timezone.now)
    started_at = models.DateTimeField(null=True, blank=True)
    finished_at = models.DateTimeField(null=True, blank=True)
    model_version = models.OneToOneField(
        ModelVersion, on_delete=models.SET_NULL, null=True, blank=True, related_name="training_run"
    )

    class Meta:
        ordering = ["-id"]
        constraints = [
            models.UniqueConstraint(fields=["state"], condition=Q(state="running"), name="trainingrun_one_running"),
            models.UniqueConstraint(
                fields=["exclusive"],
                condition=Q(exclusive=True, state__in=["queued", "running"]),
                name="trainingrun_one_exclusive",
            ),
        ]

    def __str__(self) -> str:
        return f"training run {self.pk} ({self.recipe}, {self.state})"


class LabellingRun(models.Model):
    """A request to label pictures with one pinned model version; its progress is a count of its tasks by state.

    It takes its pictures in the order of their ids, a part at a time: up to `taken_until` now, up to `takes_until` in
    the end. A cancelled run is `closing` for as long as it has tasks that are neither done nor closed.
    """

    class State(models.TextChoices):
        RUNNING = "running"
        DONE = "done"
        CANCELLED = "cancelled"

    model_version = models.ForeignKey(ModelVersion, on_delete=models.PROTECT, related_name="labelling_runs")
    state = models.CharField(max_length=16, choices=State, default=State.RUNNING)
    relabel = models.BooleanField(default=False)
    limit = models.PositiveIntegerField(null=True, blank=True, help_text="Empty: every picture.")
    total = models.PositiveIntegerField(default=0, help_text="Tasks the run has taken.")
    taken_until = models.BigIntegerField(default=0, db_default=0, help_text="The last image that it looked at.")
    takes_until = models.BigIntegerField(default=0, db_default=0, help_text="The last image that it looks at.")
    closing = models.BooleanField(default=False, db_default=False, help_text="Cancelled, with tasks still to close.")
    idempotency_key = models.CharField(max_length=255, unique=True, null=True, blank=True)
    requested_by = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.SET_NULL, null=True, blank=True)
    created_at = models.DateTimeField(default=timezone.now)
    finished_at = models.DateTimeField(null=True, blank=True)

    objects = LabellingRunQuerySet.as_manager()

    class Meta:
        ordering = ["-id"]

    def __str__(self) -> str:
        return f"labelling run {self.pk} ({self.state})"

    @property
    def is_taking(self) -> bool:
        """Whether there are pictures that the run has not looked at yet; its total grows until then."""
        return self.state == self.State.RUNNING and self.taken_until < self.takes_until


class RunSelection(models.Model):
    """The images that a run over a selection takes, while it has not taken all of them."""

    run = models.OneToOneField(LabellingRun, on_delete=models.CASCADE, primary_key=True, related_name="selection")
    image_ids = models.JSONField(help_text="Rising.")

    class Meta:
        default_permissions = ()

    def __str__(self) -> str:
        return f"{len(self.image_ids)} images of labelling run {self.run_id}"


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
    next_try_at = models.DateTimeField(default=timezone.now)
    sent_at = models.DateTimeField(null=True, blank=True, help_text="When it was last put on the queue.")
    error_code = models.CharField(max_length=32, blank=True, default="")
    first_failed_at = models.DateTimeField(null=True, blank=True)
    last_failed_at = models.DateTimeField(null=True, blank=True)

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
        return f"label task {self.pk} of image {self.image_id} ({self.state})"


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
    # Ten numbers in the order of GARMENTS; a group's probability is the sum of its garments'.
    garment_probabilities = models.JSONField()
    embedding = models.BinaryField(help_text="64 little-endian float32 numbers.")
    created_at = models.DateTimeField(default=timezone.now)

    objects = ClassificationQuerySet.as_manager()

    class Meta:
        ordering = ["-id"]
        constraints = [
            models.UniqueConstraint(fields=["run", "image"], name="classification_run_image_unique"),
        ]
        indexes = [
            models.Index(fields=["image", "-run"], name="classification_image_latest"),
            # What a version said since its embeddings were read last.
            models.Index(fields=["model_version", "id"], name="classification_version"),
            # How many a run was not sure of.
            models.Index(fields=["run"], condition=Q(abstained=True), name="classification_unsure"),
        ]

    def __str__(self) -> str:
        return f"{self.group} for image {self.image_id} by model version {self.model_version_id}"


class Review(models.Model):
    """A person's label for a picture. The newest one wins over every machine."""

    image = models.ForeignKey(Image, on_delete=models.CASCADE, related_name="reviews", db_index=False)
    group = models.CharField(max_length=32, choices=GROUP_CHOICES)
    garment = models.CharField(max_length=32, choices=GARMENT_CHOICES, blank=True, default="")
    reviewer = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.PROTECT)
    note = models.TextField(blank=True, default="")
    created_at = models.DateTimeField(default=timezone.now)

    objects = ReviewQuerySet.as_manager()

    class Meta:
        ordering = ["-id"]
        indexes = [models.Index(fields=["image", "-id"], name="review_image_latest")]

    def __str__(self) -> str:
        return f"{self.group} for image {self.image_id} by reviewer {self.reviewer_id}"


class ReviewRun(models.Model):
    """One label that a person gives to many pictures: workers record it part by part, and count here how far it is."""

    class State(models.TextChoices):
        RUNNING = "running"
        DONE = "done"
        CANCELLED = "cancelled"

    group = models.CharField(max_length=32, choices=GROUP_CHOICES)
    note = models.TextField(blank=True, default="")
    requested_by = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.PROTECT)
    state = models.CharField(max_length=16, choices=State, default=State.RUNNING)
    total = models.PositiveIntegerField(default=0, help_text="Pictures that were chosen when it started.")
    done = models.PositiveIntegerField(default=0)
    skipped = models.PositiveIntegerField(
        default=0, help_text="Pictures that are gone, or that a person labelled after this was asked for."
    )
    sent_at = models.DateTimeField(null=True, blank=True, help_text="When it was last put on the queue, or worked on.")
    created_at = models.DateTimeField(default=timezone.now)
    finished_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        ordering = ["-id"]
        default_permissions = ("view",)
        indexes = [models.Index(fields=["id"], condition=Q(state="running"), name="reviewrun_running")]

    def __str__(self) -> str:
        return f"review run {self.pk} ({self.group}, {self.state})"


class ReviewPart(models.Model):
    """Pictures of a review run that have not got its label yet; the row goes in the transaction that gives it."""

    run = models.ForeignKey(ReviewRun, on_delete=models.CASCADE, related_name="parts")
    image_ids = models.JSONField()

    class Meta:
        default_permissions = ()

    def __str__(self) -> str:
        return f"{len(self.image_ids)} pictures of review run {self.run_id}"


class ProductLabel(models.Model):
    """The current label of a product: that of its image with index 0, a person's before a machine's.

    Products whose picture nobody looked at yet have no row; they are *pending*, or have *no image*.
    """

    class Status(models.TextChoices):
        LABELLED = "labelled"
        NEEDS_REVIEW = "needs_review"
        REVIEWED = "reviewed"
        FAILED = "failed"
        PENDING = "pending"
        NO_IMAGE = "no_image"

    class Source(models.TextChoices):
        MACHINE = "machine"
        PERSON = "person"

    product = models.OneToOneField(Product, on_delete=models.CASCADE, primary_key=True, related_name="label")
    image = models.ForeignKey(Image, on_delete=models.CASCADE, related_name="+")
    group = models.CharField(max_length=32, choices=GROUP_CHOICES, blank=True, default="")
    garment = models.CharField(max_length=32, choices=GARMENT_CHOICES, blank=True, default="")
    confidence = models.FloatField(null=True, blank=True, validators=CONFIDENCE_VALIDATORS)
    status = models.CharField(max_length=16, choices=Status)
    source = models.CharField(max_length=16, choices=Source, default=Source.MACHINE)
    model_version = models.ForeignKey(ModelVersion, on_delete=models.PROTECT, null=True, blank=True, related_name="+")
    classification = models.ForeignKey(Classification, on_delete=models.SET_NULL, null=True, blank=True)
    review = models.ForeignKey(Review, on_delete=models.SET_NULL, null=True, blank=True)
    labelled_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        indexes = [
            # One for each filter and order of a list, so that a page starts inside it; what stands behind the order
            # lets the other filters be looked at without the row, however few of the rows pass them.
            models.Index(fields=["group", "product", "status", "confidence"], name="productlabel_group_product"),
            models.Index(fields=["group", "confidence", "product", "status"], name="productlabel_group_conf"),
            models.Index(fields=["garment", "product", "status", "confidence"], name="productlabel_garment_product"),
            models.Index(fields=["garment", "confidence", "product", "status"], name="productlabel_garment_conf"),
            models.Index(fields=["status", "product", "confidence"], name="productlabel_status_product"),
            models.Index(fields=["status", "confidence", "product"], name="productlabel_status_conf"),
            models.Index(fields=["confidence", "product"], name="productlabel_confidence"),
        ]

    def __str__(self) -> str:
        return f"{self.group or self.status} for product {self.product_id}"


class UnlabelledStatus(models.Model):
    """The status of a product without a label: *pending* or *no image*; empty once it has a label.

    On PostgreSQL, where triggers keep a row for every product (`classifier.unlabelled`); empty elsewhere.
    """

    product = models.OneToOneField(
        Product, on_delete=models.DO_NOTHING, primary_key=True, related_name="unlabelled", db_constraint=False
    )
    status = models.CharField(max_length=16)

    class Meta:
        managed = False

    def __str__(self) -> str:
        return f"{self.status or 'labelled'} product {self.product_id}"


class QueueCanary(models.Model):
    """A queue and the last message that came back through it: whether its workers take up what is sent to them."""

    queue = models.CharField(max_length=64, primary_key=True)
    created_at = models.DateTimeField(default=timezone.now)
    sent_at = models.DateTimeField(null=True, blank=True)
    done_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        verbose_name_plural = "queue canaries"

    def __str__(self) -> str:
        return f"canary of the queue {self.queue}"

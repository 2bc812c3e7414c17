"""People's labels, and the runs that give one label to many pictures."""

from django.conf import settings
from django.db import models
from django.db.models import Q
from django.utils import timezone

from catalog.models import GARMENT_CHOICES, GROUP_CHOICES, Image


class ReviewQuerySet(models.QuerySet):
    """Reads of what people said."""

    def newest(self) -> "ReviewQuerySet":
        """The newest review of each image; at most one an image."""
        newest = self.model._default_manager.filter(image=models.OuterRef("image")).order_by("-pk").values("pk")
        return self.filter(pk=models.Subquery(newest[:1]))


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

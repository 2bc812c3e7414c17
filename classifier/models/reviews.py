"""People's labels, and the runs that give one label to many pictures."""

from django.conf import settings
from django.db import models
from django.db.models import Q
from django.db.models.functions import Now

from catalog.models import GARMENT_CHOICES, GROUP_CHOICES, Image
from classifier.models.runs import Run
from config.db.naming import name_related


class Review(models.Model):
    """A person's label for a picture. The newest one that stands wins over every machine.

    It holds for every image whose picture has this appearance. Given before we held the picture, it binds to the image
    at this address, and to the first bytes that come from there.
    """

    image = models.ForeignKey(
        Image, on_delete=models.SET_NULL, null=True, blank=True, related_name="reviews", db_index=False
    )
    url = models.CharField(max_length=2048, blank=True, default="", db_default="")
    appearance = models.CharField(max_length=64, blank=True, default="", db_default="")
    group = models.CharField(max_length=32, choices=GROUP_CHOICES)
    garment = models.CharField(max_length=32, choices=GARMENT_CHOICES, blank=True, default="")
    reviewer = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.PROTECT)
    note = models.TextField(blank=True, default="")
    run = models.ForeignKey("ReviewRun", on_delete=models.SET_NULL, null=True, blank=True, related_name="reviews")
    created_at = models.DateTimeField(db_default=Now())
    withdrawn_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        ordering = ["-id"]
        indexes = [
            models.Index(fields=["image", "-id"], name="review_image_latest"),
            models.Index(fields=["appearance", "-id"], name="review_appearance_latest"),
        ]

    def __str__(self) -> str:
        return f"{self.group} for {self.url or 'a picture'} by {name_related(self, 'reviewer')}"


class ReviewRun(Run):
    """One label that a person gives to many pictures: workers record it step by step, and count here how far it is."""

    group = models.CharField(max_length=32, choices=GROUP_CHOICES)
    note = models.TextField(blank=True, default="")
    requested_by = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.PROTECT)
    skipped = models.PositiveIntegerField(
        default=0, help_text="Pictures that are gone, or that a person labelled after this was asked for."
    )
    withdrawn_at = models.DateTimeField(null=True, blank=True)

    class Meta(Run.Meta):
        default_permissions = ("view",)
        indexes = [models.Index(fields=["id"], condition=Q(state="running"), name="reviewrun_running")]

    def __str__(self) -> str:
        return f"review run {self.pk} ({self.group}, {self.state})"


class ImageToReview(models.Model):
    """An image that has not got its review run's label yet; the row goes in the transaction that gives it."""

    run = models.ForeignKey(ReviewRun, on_delete=models.CASCADE, related_name="selection", db_index=False)
    image_id = models.BigIntegerField()

    class Meta:
        default_permissions = ()
        constraints = [models.UniqueConstraint(fields=["run", "image_id"], name="imagetoreview_run_image_unique")]

    def __str__(self) -> str:
        return f"image {self.image_id} of review run {self.run_id}"

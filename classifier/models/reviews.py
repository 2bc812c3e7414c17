"""People's labels, the runs that give one label to many pictures, and the tiles that are lent to a reviewer."""

from functools import reduce
from operator import or_
from typing import Self

from django.conf import settings
from django.core.validators import MaxValueValidator, MinValueValidator
from django.db import models
from django.db.models import Q
from django.db.models.functions import Now

from catalog.models import GARMENT_CHOICES, GROUP_CHOICES, Image, Product
from classifier.ml.labels import GARMENTS, GROUP_OF_GARMENT, GROUPS
from classifier.models.runs import Run
from config.db.naming import name_related


class Verdict(models.TextChoices):
    """What a person says of a picture: it shows a thing of a group, of none of the five, or nothing to tell by."""

    GROUP = "group", "A group"
    NONE_OF_THESE = "none_of_these", "None of these"
    UNUSABLE = "unusable", "Unusable"


class QueueName(models.TextChoices):
    """Where the tiles of a page come from; `list` is any filter of the product list."""

    UNSURE = "unsure"
    SUSPICIOUS = "suspicious"
    AUDIT = "audit"
    SECOND_LOOK = "second_look", "Second look"
    LABEL_ERRORS = "label_errors", "Label errors"
    LIST = "list"


#: What a person may say, or be shown, as one name: a group, or a verdict that is none.
SUGGESTION_CHOICES = [*GROUP_CHOICES, *[choice for choice in Verdict.choices if choice[0] != Verdict.GROUP]]
PROBABILITY_VALIDATORS = [MinValueValidator(0.0), MaxValueValidator(1.0)]
_IS_NO_CONTROL = Q(control__isnull=True)
_GARMENT_FITS = reduce(
    or_,
    [
        Q(group=group, garment__in=["", *[garment for garment in GARMENTS if GROUP_OF_GARMENT[garment] == group]])
        for group in GROUPS
    ],
)


class ReviewQuerySet(models.QuerySet["Review"]):
    """People's labels."""

    def standing(self) -> Self:
        """Return those that decide or teach something: nobody withdrew them, and they are no answers to controls."""
        return self.filter(withdrawn_at__isnull=True, control__isnull=True)


class Review(models.Model):
    """A person's label for a picture. The newest one that stands wins over every machine.

    It holds for every image whose picture has this appearance. Given before we held the picture, it binds to the image
    at this address, and to the first bytes that come from there. Queue, suggestion and batch say how it came about.
    With a `control` it decides nothing: a picture whose label is known was shown to see what its reviewer says.
    """

    image = models.ForeignKey(
        Image, on_delete=models.SET_NULL, null=True, blank=True, related_name="reviews", db_index=False
    )
    url = models.CharField(max_length=2048, blank=True, default="", db_default="")
    appearance = models.CharField(max_length=64, blank=True, default="", db_default="")
    verdict = models.CharField(max_length=16, choices=Verdict, default=Verdict.GROUP, db_default=Verdict.GROUP)
    group = models.CharField(max_length=32, choices=GROUP_CHOICES, blank=True, default="")
    garment = models.CharField(max_length=32, choices=GARMENT_CHOICES, blank=True, default="")
    reviewer = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.PROTECT)
    note = models.TextField(blank=True, default="")
    run = models.ForeignKey("ReviewRun", on_delete=models.SET_NULL, null=True, blank=True, related_name="reviews")
    batch = models.ForeignKey(
        "ReviewBatch", on_delete=models.SET_NULL, null=True, blank=True, related_name="reviews", db_index=False
    )
    queue = models.CharField(max_length=16, choices=QueueName, blank=True, default="", db_default="")
    blind = models.BooleanField(default=False, db_default=False, help_text="The suggestion was not shown.")
    suggestion = models.CharField(
        max_length=32,
        choices=SUGGESTION_CHOICES,
        blank=True,
        default="",
        db_default="",
        help_text="What was shown: a group or a verdict.",
    )
    inclusion_probability = models.FloatField(
        null=True,
        blank=True,
        validators=PROBABILITY_VALIDATORS,
        help_text="How likely the audit was to draw the product; empty of what it did not draw.",
    )
    control = models.ForeignKey(
        "self",
        on_delete=models.PROTECT,
        null=True,
        blank=True,
        related_name="+",
        db_index=False,
        help_text="The review that decided a dispute, with which this one is compared; it decides nothing.",
    )
    created_at = models.DateTimeField(db_default=Now())
    withdrawn_at = models.DateTimeField(null=True, blank=True)

    objects = ReviewQuerySet.as_manager()

    class Meta:
        ordering = ["-id"]
        indexes = [
            models.Index(fields=["image", "-id"], name="review_image_latest"),
            models.Index(fields=["appearance", "-id"], name="review_appearance_latest"),
            models.Index(fields=["batch"], condition=Q(batch__isnull=False), name="review_batch"),
            models.Index(fields=["queue", "-id"], condition=~Q(queue=""), name="review_queue_latest"),
            models.Index(fields=["-id"], condition=Q(control__isnull=False), name="review_control_latest"),
        ]
        constraints = [
            models.CheckConstraint(
                condition=Q(verdict=Verdict.GROUP) & _GARMENT_FITS
                | Q(verdict__in=[Verdict.NONE_OF_THESE, Verdict.UNUSABLE], group="", garment=""),
                name="review_label_fits_verdict",
                violation_error_message="Expected a group with a garment of it or none, or another verdict alone.",
            ),
            models.CheckConstraint(
                condition=Q(blind=False) | Q(suggestion=""),
                name="review_blind_without_suggestion",
                violation_error_message="Expected no suggestion where it was not shown.",
            ),
            models.CheckConstraint(
                condition=_IS_NO_CONTROL | Q(blind=True, inclusion_probability__isnull=True),
                name="review_control_is_blind",
                violation_error_message="Expected no suggestion and no place in the audit of a control.",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.words} for {self.url or 'a picture'} by {name_related(self, 'reviewer')}"

    @property
    def words(self) -> str:
        """The label in words: the group, and the garment where one was said, or the verdict."""
        return describe_label(self.verdict, self.group, self.garment)


def describe_label(verdict: str, group: str, garment: str = "") -> str:
    """Return a person's label in words."""
    return ", ".join(filter(None, (group, garment))) or str(Verdict(verdict).label)


def split_label(name: str) -> dict[str, str]:
    """Return the verdict and the group of a name out of `SUGGESTION_CHOICES`."""
    return {"verdict": Verdict.GROUP, "group": name} if name in GROUPS else {"verdict": name, "group": ""}


class ReviewRun(Run):
    """One label that a person gives to many pictures: workers record it step by step, and count here how far it is."""

    verdict = models.CharField(max_length=16, choices=Verdict, default=Verdict.GROUP, db_default=Verdict.GROUP)
    group = models.CharField(max_length=32, choices=GROUP_CHOICES, blank=True, default="")
    note = models.TextField(blank=True, default="")
    requested_by = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.PROTECT)
    skipped = models.PositiveIntegerField(
        default=0, help_text="Pictures that are gone, or that a person labelled after this was asked for."
    )
    withdrawal_requested = models.BooleanField(default=False, db_default=False)
    withdrawn_at = models.DateTimeField(null=True, blank=True, help_text="When the last of its labels was withdrawn.")

    class Meta(Run.Meta):
        default_permissions = ("view",)
        indexes = [
            models.Index(fields=["id"], condition=Q(state="running"), name="reviewrun_running"),
            models.Index(
                fields=["id"],
                condition=Q(withdrawal_requested=True, withdrawn_at__isnull=True),
                name="reviewrun_withdrawing",
            ),
        ]
        constraints = [
            models.CheckConstraint(
                condition=Q(verdict=Verdict.GROUP, group__in=GROUPS)
                | Q(verdict__in=[Verdict.NONE_OF_THESE, Verdict.UNUSABLE], group=""),
                name="reviewrun_label_fits_verdict",
                violation_error_message="Expected a group, or another verdict alone.",
            ),
        ]

    def __str__(self) -> str:
        return f"review run {self.pk} ({self.words}, {self.state})"

    @property
    def words(self) -> str:
        """The label in words."""
        return describe_label(self.verdict, self.group)

    @property
    def is_withdrawing(self) -> bool:
        """Whether its labels are being withdrawn."""
        return self.withdrawal_requested and self.withdrawn_at is None


class ImageToReview(models.Model):
    """An image that has not got its review run's label yet; the row goes in the transaction that gives it."""

    run = models.ForeignKey(ReviewRun, on_delete=models.CASCADE, related_name="selection", db_index=False)
    image_id = models.BigIntegerField()

    class Meta:
        default_permissions = ()
        constraints = [models.UniqueConstraint(fields=["run", "image_id"], name="imagetoreview_run_image_unique")]

    def __str__(self) -> str:
        return f"image {self.image_id} of review run {self.run_id}"


class ReviewBatch(models.Model):
    """Tiles that are lent to one reviewer until `expires_at`, which every use puts off."""

    reviewer = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.CASCADE)
    queue = models.CharField(max_length=16, choices=QueueName)
    filter = models.JSONField(default=dict, blank=True, help_text="Parameters of the product list; of `list` alone.")
    created_at = models.DateTimeField(db_default=Now())
    expires_at = models.DateTimeField()

    class Meta:
        default_permissions = ()
        ordering = ["-id"]

    def __str__(self) -> str:
        return f"batch {self.pk} of {self.get_queue_display()} for {name_related(self, 'reviewer')}"


class ReviewTile(models.Model):
    """A product in a batch, with its first image and what is shown beside it. Nobody else has an open one of either."""

    class State(models.TextChoices):
        """Open until its product is reviewed, or its batch's time has run out and somebody asks for tiles."""

        OPEN = "open"
        REVIEWED = "reviewed"
        FREED = "freed"

    batch = models.ForeignKey(ReviewBatch, on_delete=models.CASCADE, related_name="tiles", db_index=False)
    product = models.ForeignKey(Product, on_delete=models.CASCADE, related_name="+")
    image = models.ForeignKey(Image, on_delete=models.CASCADE, related_name="+")
    position = models.PositiveSmallIntegerField()
    state = models.CharField(max_length=8, choices=State, default=State.OPEN)
    blind = models.BooleanField(default=False)
    suggestion = models.CharField(max_length=32, choices=SUGGESTION_CHOICES, blank=True, default="")
    inclusion_probability = models.FloatField(null=True, blank=True, validators=PROBABILITY_VALIDATORS)
    # What is said of it decides nothing, and is compared with this review, which decided a dispute.
    control = models.ForeignKey(
        Review, on_delete=models.PROTECT, null=True, blank=True, related_name="+", db_index=False
    )

    class Meta:
        default_permissions = ()
        ordering = ["batch_id", "position"]
        constraints = [
            models.UniqueConstraint(fields=["batch", "position"], name="reviewtile_batch_position_unique"),
            models.UniqueConstraint(fields=["product"], condition=Q(state="open"), name="reviewtile_product_open"),
            models.UniqueConstraint(fields=["image"], condition=Q(state="open"), name="reviewtile_image_open"),
            models.CheckConstraint(condition=Q(blind=False) | Q(suggestion=""), name="reviewtile_blind"),
            models.CheckConstraint(
                condition=_IS_NO_CONTROL | Q(blind=True, inclusion_probability__isnull=True),
                name="reviewtile_control_is_blind",
            ),
        ]

    def __str__(self) -> str:
        return f"tile {self.position} of batch {self.batch_id}: product {self.product_id} ({self.state})"


class AnsweredCall(models.Model):
    """A call that gave labels with an `Idempotency-Key`, and its answer, which the same call gets again."""

    user = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="+")
    key = models.CharField(max_length=255)
    body_sha256 = models.CharField(max_length=64)
    status = models.PositiveSmallIntegerField()
    answer = models.JSONField()
    created_at = models.DateTimeField(db_default=Now(), db_index=True)

    class Meta:
        default_permissions = ()
        constraints = [models.UniqueConstraint(fields=["user", "key"], name="answeredcall_user_key_unique")]

    def __str__(self) -> str:
        return f"call {self.key} of {name_related(self, 'user')}"

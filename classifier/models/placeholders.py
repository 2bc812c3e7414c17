"""Pictures that are taken for placeholders."""

from django.conf import settings
from django.db import models
from django.db.models.functions import Now


class SuspectedPicture(models.Model):
    """The bytes of a picture that many unlike products show first: a placeholder, unless a person says otherwise.

    An answer holds for good, whatever number of products shows the bytes. It names them by their hash alone, so that
    no image and no picture is kept by it.
    """

    class Answer(models.TextChoices):
        PICTURE = "picture", "a picture"
        IGNORE = "ignore", "ignore"

    sha256 = models.CharField(max_length=64, unique=True)
    products = models.PositiveIntegerField(help_text="That showed it first when they were last counted.")
    found_at = models.DateTimeField(db_default=Now())
    answer = models.CharField(max_length=8, choices=Answer, blank=True, default="", db_default="")
    answered_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.PROTECT, null=True, blank=True, related_name="+"
    )
    answered_at = models.DateTimeField(null=True, blank=True)
    labels_after = models.BigIntegerField(
        null=True,
        blank=True,
        default=0,
        help_text="Products behind this id may not have the label that follows yet; empty: all have.",
    )

    class Meta:
        default_permissions = ("view",)

    def __str__(self) -> str:
        return f"picture {self.sha256[:12]} of {self.products} products"

"""What networks saw in pictures."""

from django.db import models
from django.db.models.functions import Now


class Base(models.Model):
    """The networks that look at pictures, and how they look. Versions of one base share what it saw."""

    digest = models.BinaryField(max_length=32, unique=True, help_text="SHA-256 of what looks; see `Manifest`.")
    name = models.CharField(max_length=100)
    folder = models.CharField(
        max_length=64,
        blank=True,
        default="",
        db_default="",
        help_text="Its own folder below ARTEFACTS_DIR; empty: its version's.",
    )
    created_at = models.DateTimeField(db_default=Now())

    class Meta:
        default_permissions = ()

    def __str__(self) -> str:
        return self.name


class PictureFeatures(models.Model):
    """What a base saw in the picture with this hash, whichever images have it. Append-only.

    Rows that were made of an older release's embeddings lack logits; the base's next look completes them, once.
    """

    base = models.ForeignKey(Base, on_delete=models.PROTECT, related_name="features", db_index=False)
    sha256 = models.BinaryField(max_length=32)
    features = models.BinaryField(help_text="Little-endian half-precision numbers.")
    logits = models.BinaryField(null=True, help_text="Ten likewise, the mean of the base's members and views.")
    blank = models.BooleanField(help_text="Whether nothing was found in the picture.")
    canonical = models.BooleanField(help_text="Whether the picture was in canonical form already.")
    statistics = models.BinaryField(
        null=True, help_text="Six likewise, measured of the pixels; null where that was not done yet."
    )
    views = models.PositiveSmallIntegerField(help_text="How many views of the picture were looked at; 0: not known.")
    test_form = models.BooleanField(
        null=True,
        help_text="Whether its form is that of a test picture of Fashion-MNIST; null where that is not known.",
    )
    created_at = models.DateTimeField(db_default=Now())

    class Meta:
        default_permissions = ()
        verbose_name_plural = "picture features"
        constraints = [models.UniqueConstraint(fields=["base", "sha256"], name="picturefeatures_base_picture_unique")]

    def __str__(self) -> str:
        return f"features {self.pk} of base {self.base_id}"

"""Which part of a data set a family of pictures fell into, once and for ever."""

from django.db import models
from django.db.models import Q
from django.db.models.functions import Now

from classifier.ml.data.parts import Part


class SplitAssignment(models.Model):
    """A family: pictures and products that belong together, and the part in which all of them are.

    Its part is written once. A family that turned out to belong to one of another part is left out for ever.
    """

    class Reason(models.TextChoices):
        PHOTOGRAPH = "photograph", "a photograph of the other family"
        PRODUCT = "product", "a product of the other family"
        BETWEEN = "between", "looks like pictures of the other family, and unlike its first one"
        COMMON = "common", "too many products show it"

    part = models.CharField(max_length=16, choices=[(part.value, part.value) for part in Part])
    left_out_because = models.CharField(max_length=16, choices=Reason, blank=True, default="", db_default="")
    left_out_for = models.ForeignKey(
        "self", on_delete=models.PROTECT, null=True, blank=True, related_name="left_out", help_text="The family it met."
    )
    left_out_at = models.DateTimeField(null=True, blank=True)
    created_at = models.DateTimeField(db_default=Now())

    class Meta:
        ordering = ["-id"]
        default_permissions = ("view",)
        indexes = [
            models.Index(fields=["-id"], condition=~Q(left_out_because=""), name="splitassignment_left_out"),
        ]
        constraints = [
            models.CheckConstraint(
                condition=Q(left_out_because="", left_out_at__isnull=True)
                | (~Q(left_out_because="") & ~Q(part="test") & Q(left_out_at__isnull=False)),
                name="splitassignment_test_stays",
            ),
        ]

    def __str__(self) -> str:
        return f"family {self.pk} ({self.part}{', left out' if self.left_out_because else ''})"


class SplitPicture(models.Model):
    """A picture of a family, named by its bytes, and how it is found again; append-only.

    Tones are null where the picture is too plain to be told from others: then its bytes alone say that it is the same.
    """

    sha256 = models.BinaryField(max_length=32, unique=True)
    assignment = models.ForeignKey(SplitAssignment, on_delete=models.PROTECT, related_name="pictures")
    # The first of the pictures that show what this one shows; empty for itself.
    first = models.ForeignKey("self", on_delete=models.PROTECT, null=True, related_name="+", db_index=False)
    fingerprint = models.BinaryField(help_text="32 x 32 pixels of red, green and blue.")
    band = models.IntegerField(null=True, help_text="The first three tones, coarsely.")
    tone_3 = models.SmallIntegerField(null=True)
    tone_4 = models.SmallIntegerField(null=True)
    tone_5 = models.SmallIntegerField(null=True)

    class Meta:
        default_permissions = ()
        indexes = [
            models.Index(
                fields=["band", "tone_3", "tone_4", "tone_5"],
                condition=Q(band__isnull=False),
                name="splitpicture_tones",
            ),
        ]

    def __str__(self) -> str:
        return f"picture {bytes(self.sha256).hex()[:12]} of family {self.assignment_id}"


class SplitProduct(models.Model):
    """A product of a family; its id outlives the product, and is never another one's."""

    product_id = models.BigIntegerField(primary_key=True)
    assignment = models.ForeignKey(SplitAssignment, on_delete=models.PROTECT, related_name="products")

    class Meta:
        default_permissions = ()

    def __str__(self) -> str:
        return f"product {self.product_id} of family {self.assignment_id}"

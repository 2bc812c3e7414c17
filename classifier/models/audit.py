"""The random samples of the catalogue by which its accuracy is measured."""

from django.db import models
from django.db.models.functions import Now

from catalog.models import CONFIDENCE_VALIDATORS, GROUP_CHOICES, Image, Product
from classifier.models.reviews import PROBABILITY_VALIDATORS
from classifier.models.versions import ModelVersion


class AuditRound(models.Model):
    """A sample that was drawn at one moment from what machines had labelled, for the version in production then.

    Of all of it, or of the `segment` that an alarm of drift was about; of that people are asked until it is closed.
    """

    model_version = models.ForeignKey(ModelVersion, on_delete=models.PROTECT, related_name="+")
    sizes = models.JSONField(help_text="The products of each stratum then: [group, band, number] of each.")
    segment = models.CharField(
        max_length=255, blank=True, default="", db_default="", help_text="What it was drawn from. Empty: everything."
    )
    drawn_at = models.DateTimeField(db_default=Now())
    closed_at = models.DateTimeField(null=True, blank=True, help_text="Since when nobody is asked any more.")

    class Meta:
        default_permissions = ()
        ordering = ["-id"]

    def __str__(self) -> str:
        return f"audit {self.pk} of {self.products:,} products"

    @property
    def products(self) -> int:
        """How many products it was drawn from."""
        return sum(number for *_, number in self.sizes)


class AuditSample(models.Model):
    """A product that an audit drew, with what its label was then. Its stratum is group and band of confidence."""

    round = models.ForeignKey(AuditRound, on_delete=models.CASCADE, related_name="samples", db_index=False)
    # Without a constraint: other programs delete products and know nothing of this table.
    product = models.ForeignKey(Product, on_delete=models.CASCADE, related_name="+", db_constraint=False)
    image = models.ForeignKey(Image, on_delete=models.CASCADE, related_name="+", db_constraint=False)
    group = models.CharField(max_length=32, choices=GROUP_CHOICES, blank=True, help_text="Empty: none of these.")
    confidence = models.FloatField(null=True, blank=True, validators=CONFIDENCE_VALIDATORS)
    band = models.PositiveSmallIntegerField()
    inclusion_probability = models.FloatField(validators=PROBABILITY_VALIDATORS)
    position = models.FloatField(help_text="The order of the questions, in which every beginning is a sample itself.")

    class Meta:
        default_permissions = ()
        constraints = [
            models.UniqueConstraint(fields=["round", "product"], name="auditsample_round_product_unique"),
        ]
        indexes = [models.Index(fields=["round", "position"], name="auditsample_round_position")]

    def __str__(self) -> str:
        return f"product {self.product_id} in audit {self.round_id}"

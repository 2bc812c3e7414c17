"""What products' texts say, and how often they are right."""

from django.db import models
from django.db.models.functions import Now

from catalog.models import GARMENT_CHOICES, GROUP_CHOICES, Product
from classifier.ml.text.reading import Verdict


class TextEvidence(models.Model):
    """What a product's texts call it, one row for each product whose texts were read; read again when they change.

    `country` is that of its first description, empty without any: there it is judged how often such texts are right.
    `words` are those that counted: [word, language, field, what it says].
    """

    # What has a fixed length stands first: PostgreSQL fills gaps in front of such a column otherwise.
    # Without a constraint: other programs delete products and know nothing of this table.
    product = models.OneToOneField(
        Product, on_delete=models.CASCADE, primary_key=True, related_name="text_evidence", db_constraint=False
    )
    score = models.FloatField()
    sha256 = models.BinaryField(max_length=32, help_text="Of the title and all descriptions.")
    verdict = models.CharField(max_length=16, choices=[(verdict.value, verdict.value) for verdict in Verdict])
    country = models.CharField(max_length=16, blank=True)
    group = models.CharField(max_length=32, choices=GROUP_CHOICES, blank=True)
    garment = models.CharField(max_length=32, choices=GARMENT_CHOICES, blank=True)
    words = models.JSONField(default=list)

    class Meta:
        default_permissions = ()

    def __str__(self) -> str:
        return f"the texts of product {self.product_id} say {self.group or self.verdict}"


class TextPrecision(models.Model):
    """How often a country's texts are right, as estimated last; the country is empty for products without one.

    `right` of `reviewed` products have the group that their title names. Before there are enough of them, `agreed` of
    the `sure` pictures count, whose mean confidence says how many would if all titles were right.
    """

    country = models.CharField(max_length=16, primary_key=True)
    precision = models.FloatField(null=True, help_text="0 to 1; empty: too little is known.")
    has_vote = models.BooleanField(help_text="Whether they may change a label, which needs a high precision.")
    reviewed = models.PositiveIntegerField(default=0)
    right = models.PositiveIntegerField(default=0)
    sure = models.PositiveIntegerField(default=0)
    agreed = models.PositiveIntegerField(default=0)
    mean_confidence = models.FloatField(null=True)
    estimated_at = models.DateTimeField(db_default=Now())
    labels_after = models.BigIntegerField(
        null=True,
        help_text="Products behind this id may not have the label that follows yet; empty: all have.",
    )

    class Meta:
        default_permissions = ()

    def __str__(self) -> str:
        return f"texts of {self.country or 'no country'} are right in {self.precision}"

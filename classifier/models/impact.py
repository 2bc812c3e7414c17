"""What would change if a version came into production: what its shadow run said, decided as its adoption would."""

from django.db import models

from classifier.models.labelling import LabellingRun
from classifier.models.runs import Run
from classifier.models.versions import ModelVersion
from config.db.naming import name_related


class ImpactRun(Run):
    """A walk through the products that a shadow run looked at, or all, that decides their labels as if adopted.

    `done` counts the products it looked at up to `taken_until`; those whose label would be another are its `products`.
    `production` is the version that labels followed meanwhile. `by_country` and `by_host` have for each name how many
    were looked at and how many would change. Nothing else is written.
    """

    shadow = models.OneToOneField(LabellingRun, on_delete=models.CASCADE, related_name="impact")
    model_version = models.ForeignKey(ModelVersion, on_delete=models.PROTECT, related_name="impact_runs")
    production = models.ForeignKey(ModelVersion, on_delete=models.PROTECT, null=True, related_name="+")
    taken_until = models.BigIntegerField(default=0, help_text="The last product that it looked at.")
    takes_until = models.BigIntegerField(default=0, help_text="The last product that it looks at.")
    missing = models.PositiveIntegerField(
        default=0, help_text="Products whose picture the version has not classified; their labels stay as they are."
    )
    # Of the products whose label would be the version's own.
    mix = models.JSONField(default=dict, help_text="How many labels of the version come to what.")
    cells = models.JSONField(default=list, help_text="Rows of what a label is, what it would be, and how many.")
    by_country = models.JSONField(default=dict)
    by_host = models.JSONField(default=dict)

    class Meta(Run.Meta):
        default_permissions = ("view",)

    def __str__(self) -> str:
        return f"impact of {name_related(self, 'model_version')} ({self.state})"


class ImpactProduct(models.Model):
    """A product whose label would be another; `was` and `becomes` are a group, or a status where there is none."""

    run = models.ForeignKey(ImpactRun, on_delete=models.CASCADE, related_name="products", db_index=False)
    product_id = models.BigIntegerField()
    was = models.CharField(max_length=32)
    becomes = models.CharField(max_length=32)

    class Meta:
        default_permissions = ()
        constraints = [models.UniqueConstraint(fields=["run", "product_id"], name="impactproduct_run_product_unique")]
        indexes = [models.Index(fields=["run", "was", "becomes", "id"], name="impactproduct_cell")]

    def __str__(self) -> str:
        return f"product {self.product_id}: {self.was} to {self.becomes}"

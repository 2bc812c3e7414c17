"""Runs that bring the catalogue's labels to another version in production."""

from django.db import models

from classifier.models.labelling import LabellingRun
from classifier.models.runs import Run
from classifier.models.versions import ModelVersion
from config.db.naming import name_related


class AdoptionRun(Run):
    """Labels rewritten after an activation, from the classifications that exist: product by product, in steps.

    `done` counts the products it looked at up to `taken_until`, `changed` those whose label is another now. `missing`
    are pictures of theirs that other versions classified and this one has not; `labelling_run` is what labels these,
    once it was started.
    `comparison` is what the gate of `--activate` found, if it was asked; with a `reason` it was passed by force.
    `promised` is what the version's impact said would change, if it was known; `moved` of the changed have another
    group or status. Once the labels are the version's they are held against it: see `adoption/watch.py`.
    """

    class Watch(models.TextChoices):
        NONE = "", "nothing was promised"
        WATCHING = "watching", "not all labels are there yet"
        KEPT = "kept", "labels are as they were promised"
        DEPARTED = "departed", "labels are not as they were promised"

    model_version = models.ForeignKey(ModelVersion, on_delete=models.PROTECT, related_name="adoption_runs")
    taken_until = models.BigIntegerField(default=0, help_text="The last product that it looked at.")
    takes_until = models.BigIntegerField(default=0, help_text="The last product that it looks at.")
    changed = models.PositiveIntegerField(default=0)
    missing = models.PositiveIntegerField(default=0)
    closed_runs = models.PositiveIntegerField(default=0, help_text="Labelling runs of other versions that it ended.")
    comparison = models.JSONField(
        default=dict, db_default={}, blank=True, help_text="With the version that was in production, as it was judged."
    )
    reason = models.TextField(
        blank=True, default="", db_default="", help_text="Why a version that may be worse was activated all the same."
    )
    moved = models.PositiveIntegerField(default=0, db_default=0)
    promised = models.JSONField(default=dict, db_default={}, blank=True, help_text="What its impact said.")
    watch = models.CharField(max_length=16, choices=Watch, blank=True, default=Watch.NONE, db_default="")
    watched = models.JSONField(default=dict, db_default={}, blank=True, help_text="What the watch found.")
    labelling_run = models.ForeignKey(LabellingRun, on_delete=models.SET_NULL, null=True, blank=True, related_name="+")

    class Meta(Run.Meta):
        default_permissions = ("view",)

    def __str__(self) -> str:
        return f"adoption of {name_related(self, 'model_version')} ({self.state})"

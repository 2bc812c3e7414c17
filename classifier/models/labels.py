"""The history of labels."""

from django.db import models
from django.db.models.functions import Now

from catalog.models import ProductLabel


class LabelChange(models.Model):
    """A change of what a product's label shows. Append-only; it holds values, so that no cleaning takes it away.

    Every product begins as *pending* or with *no image*, which is no change; its last change says that it was deleted:
    then the new values are empty. `run_id` and `words` say what the new label was made of: the labelling run whose
    classification it is, and the words of the texts that counted, as `TextEvidence` has them.
    """

    class Why(models.TextChoices):
        CLASSIFIED = "classified", "a version classified the picture"
        REVIEWED = "reviewed", "a person gave a label"
        WITHDRAWN = "withdrawn", "a person withdrew a label"
        CATALOGUE = "catalogue", "the catalogue changed"
        PICTURE = "picture", "the picture changed"
        ACTIVATED = "activated", "another version came into production"
        CANCELLED = "cancelled", "a run was cancelled"
        SUSPECTED = "suspected", "the picture was taken for a placeholder, or is no longer"
        ANSWERED = "answered", "a person said whether it is a placeholder"
        TEXTS = "texts", "texts of its country won or lost their vote"
        FOUND = "found", "the catalogue had changed past the product"
        DELETED = "deleted", "the product was deleted"

    # What has a fixed length stands first: PostgreSQL fills gaps in front of such a column otherwise.
    product_id = models.BigIntegerField()
    at = models.DateTimeField(db_default=Now())
    old_confidence = models.FloatField(null=True)
    new_confidence = models.FloatField(null=True)
    review_id = models.BigIntegerField(null=True)
    old_version_id = models.IntegerField(null=True)
    new_version_id = models.IntegerField(null=True)
    why = models.CharField(max_length=12, choices=Why)
    old_garment_unsure = models.BooleanField(db_default=False)
    new_garment_unsure = models.BooleanField(db_default=False)
    old_group = models.CharField(max_length=32, blank=True)
    old_garment = models.CharField(max_length=32, blank=True)
    old_status = models.CharField(max_length=16)
    old_source = models.CharField(max_length=16, blank=True)
    old_reason = models.CharField(max_length=32, blank=True)
    old_evidence = models.CharField(max_length=8, blank=True, default="", db_default="")
    new_group = models.CharField(max_length=32, blank=True)
    new_garment = models.CharField(max_length=32, blank=True)
    new_status = models.CharField(max_length=16, blank=True)
    new_source = models.CharField(max_length=16, blank=True)
    new_reason = models.CharField(max_length=32, blank=True)
    new_evidence = models.CharField(max_length=8, blank=True, default="", db_default="")
    version_name = models.CharField(max_length=100, blank=True, help_text="The new label's model version.")
    sha256 = models.BinaryField(max_length=32, null=True, help_text="Of the picture that the new label is about.")
    texts_sha256 = models.BinaryField(max_length=32, null=True, help_text="Of the texts, where they counted.")
    labelled_at = models.DateTimeField(null=True, help_text="When what the new label follows from was said.")
    run_id = models.BigIntegerField(null=True)
    words = models.JSONField(null=True)

    class Meta:
        default_permissions = ("view",)
        ordering = ["-id"]
        indexes = [models.Index(fields=["product_id", "-id"], name="labelchange_product")]

    def __str__(self) -> str:
        return f"product {self.product_id}: {self.old_words} to {self.new_words}"

    @property
    def old_words(self) -> str:
        """The label before, in words."""
        return _describe(self.old_status, self.old_group, self.old_garment, self.old_evidence)

    @property
    def new_words(self) -> str:
        """The label after, in words."""
        return _describe(self.new_status, self.new_group, self.new_garment, self.new_evidence)


def _describe(status: str, group: str, garment: str, evidence: str) -> str:
    words = ", ".join(filter(None, (group, garment)))
    name = ProductLabel.Status(status).label.lower() if status else "deleted"
    name += {"text": ", by its texts", "both": ", by picture and texts"}.get(evidence, "")
    return f"{words} ({name})" if words else name


class LabelCount(models.Model):
    """How many changes of one day, in UTC, led to labels of one kind: figures over time read it instead of the history.

    It follows from the history alone, as far as `LabelCounting` says. The version 0 is none.
    """

    number = models.BigIntegerField()
    day = models.DateField()
    version_id = models.IntegerField()
    status = models.CharField(max_length=16, blank=True)
    source = models.CharField(max_length=16, blank=True)
    reason = models.CharField(max_length=32, blank=True)
    group = models.CharField(max_length=32, blank=True)

    class Meta:
        default_permissions = ()
        constraints = [
            models.UniqueConstraint(
                fields=["day", "version_id", "status", "source", "reason", "group"], name="labelcount_unique"
            ),
        ]

    def __str__(self) -> str:
        return f"{self.number} changes to {self.status} on {self.day}"


class LabelCounting(models.Model):
    """How far the history is counted; one row."""

    after = models.BigIntegerField(default=0, help_text="The last change that is counted.")

    class Meta:
        default_permissions = ()

    def __str__(self) -> str:
        return f"changes are counted up to {self.after}"


class LabelWalk(models.Model):
    """How far the walk that looks for labels left behind has come; one row."""

    after = models.BigIntegerField(default=0, help_text="The last product that was looked at.")
    rounds = models.PositiveIntegerField(default=0)
    next_step_at = models.DateTimeField(db_default=Now())
    round_started_at = models.DateTimeField(db_default=Now())

    class Meta:
        default_permissions = ()

    def __str__(self) -> str:
        return f"labels were looked at up to product {self.after}"

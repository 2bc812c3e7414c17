"""Trainings."""

from django.db import models
from django.db.models import Q

from catalog.models import CONFIDENCE_VALIDATORS, GROUP_CHOICES
from classifier.models.audit import AuditRound
from classifier.models.reviews import Review
from classifier.models.runs import Run, RunState
from classifier.models.versions import ModelVersion
from config.db.naming import name_related


class TrainingRun(Run):
    """One training, asked for and followed through its row; at most one is running at any time."""

    queue = "training"

    recipe = models.CharField(max_length=64)
    seed = models.BigIntegerField()
    epochs = models.PositiveIntegerField(null=True, blank=True, help_text="Empty: as many as the recipe says.")
    limit = models.PositiveIntegerField(null=True, blank=True, help_text="Empty: every training picture.")
    data_dir = models.TextField(
        blank=True, default="", db_default="", help_text="Folder of the data set. Empty: it is looked for."
    )
    backbone_weights = models.TextField(
        blank=True, default="", db_default="", help_text="imagenet, none or a file. Empty: as the settings say."
    )
    output = models.TextField(
        blank=True, default="", db_default="", help_text="Folder of the artefact. Empty: it becomes a model version."
    )
    activate = models.BooleanField(default=False)
    reason = models.TextField(
        blank=True, default="", db_default="", help_text="Why to activate it even if it may be worse. Empty: it is not."
    )
    exclusive = models.BooleanField(default=False, help_text="Refused while another training is open.")
    waits_for = models.ForeignKey(
        AuditRound,
        on_delete=models.SET_NULL,
        null=True,
        blank=True,
        related_name="+",
        help_text="The sample by whose answers a waiting one is queued.",
    )
    waits_for_answers = models.PositiveIntegerField(default=0, db_default=0, help_text="How many of them.")
    state = models.CharField(max_length=16, choices=RunState, default=RunState.QUEUED)
    progress = models.JSONField(default=dict, help_text="Phase, epoch, step and the metrics of each epoch so far.")
    origin = models.JSONField(
        default=dict, db_default={}, blank=True, help_text="The data set, code and libraries that it was made from."
    )
    model_version = models.OneToOneField(
        ModelVersion, on_delete=models.SET_NULL, null=True, blank=True, related_name="training_run"
    )

    class Meta(Run.Meta):
        constraints = [
            models.UniqueConstraint(fields=["state"], condition=Q(state="running"), name="trainingrun_one_running"),
            models.UniqueConstraint(
                fields=["exclusive"],
                condition=Q(exclusive=True, state__in=["queued", "running"]),
                name="trainingrun_one_exclusive",
            ),
        ]

    def __str__(self) -> str:
        return f"training run {self.pk} ({self.recipe}, {self.state})"


class OutOfFoldAnswer(models.Model):
    """What heads said of a reviewed picture that were taught by the others: one row for each review of a training."""

    model_version = models.ForeignKey(ModelVersion, on_delete=models.CASCADE, related_name="out_of_fold_answers")
    review = models.ForeignKey(Review, on_delete=models.CASCADE, related_name="out_of_fold_answers")
    group = models.CharField(max_length=32, choices=GROUP_CHOICES, blank=True, help_text="Empty: none of these.")
    confidence = models.FloatField(validators=CONFIDENCE_VALIDATORS)

    class Meta:
        default_permissions = ()
        constraints = [
            models.UniqueConstraint(fields=["model_version", "review"], name="outoffoldanswer_version_review_unique"),
        ]

    def __str__(self) -> str:
        return f"{self.group or 'none of these'} for review {self.review_id} by {name_related(self, 'model_version')}"

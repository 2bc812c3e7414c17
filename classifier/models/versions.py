"""Model versions and their stages."""

from django.db import models
from django.db.models import Q
from django.db.models.functions import Now

from classifier.ml.judging.evaluation import ACCURACIES, measure_accuracy
from classifier.ml.words import percent, write_share
from classifier.models.features import Base


class ModelVersion(models.Model):
    """A registered artefact. Its artefact columns never change; its stage does, by `STAGE_TRANSITIONS`."""

    class Stage(models.TextChoices):
        CANDIDATE = "candidate"
        PREPRODUCTION = "preproduction"
        PRODUCTION = "production", "In production"
        RETIRED = "retired"
        REJECTED = "rejected"

    # For people; the same weights trained twice on one day have the same name. The manifest's hash is the identity.
    name = models.CharField(max_length=100)
    folder = models.CharField(max_length=255, help_text="The artefact's folder below ARTEFACTS_DIR.")
    manifest_sha256 = models.CharField(max_length=64, unique=True)
    base = models.ForeignKey(Base, on_delete=models.PROTECT, related_name="versions")
    recipe = models.CharField(max_length=64)
    seed = models.BigIntegerField()
    metrics = models.JSONField(default=dict)
    stage = models.CharField(max_length=16, choices=Stage, default=Stage.CANDIDATE)
    created_at = models.DateTimeField(db_default=Now())
    activated_at = models.DateTimeField(null=True, blank=True, help_text="Since when it is in production, or was last.")
    # The order in which versions came into production, which going back and forth does not change.
    first_activated_at = models.DateTimeField(null=True, blank=True)
    left_at = models.DateTimeField(
        null=True, blank=True, help_text="When somebody went back to a version before it; it decides no label then."
    )

    class Meta:
        ordering = ["-id"]
        constraints = [
            models.UniqueConstraint(
                fields=["stage"], condition=Q(stage="production"), name="modelversion_one_in_production"
            ),
        ]

    def __str__(self) -> str:
        return self.name

    @property
    def is_in_production(self) -> bool:
        """Whether labels follow this version."""
        return self.stage == self.Stage.PRODUCTION

    @property
    def activation_tag(self) -> str:
        """What stands for this version in production since it came there."""
        return f"{self.pk}-{self.activated_at:%Y%m%dT%H%M%S.%f}" if self.activated_at else str(self.pk)

    def has_figure(self, name: str) -> bool:
        """Return whether the metrics have a figure, or say that it is a share of nothing."""
        is_of_nothing = name == "accuracy_of_answered" and self.metrics.get("answered") == 0
        return is_of_nothing or self.metrics.get(name) is not None

    def find_figure(self, name: str) -> float | None:
        """Return a figure of the metrics; None for one that is not there, and for how right answers are without any."""
        if name == "accuracy_of_answered" and not self.metrics.get("answered", 1):
            return None
        figure: float | None = self.metrics.get(name)
        return figure

    def write_figure(self, name: str, *, digits: int = 2) -> str:
        """Return a figure as pages show it, an accuracy with its interval; a dash where it is not known."""
        figure = self.find_figure(name)
        if figure is None or name not in ACCURACIES or "images" not in self.metrics:
            return percent(figure, digits=digits)
        return write_share(measure_accuracy(self.metrics, name), digits=digits)


#: What a version may become by somebody's decision. It is retired when another one takes its place alone.
STAGE_TRANSITIONS: dict[str, frozenset[str]] = {
    ModelVersion.Stage.CANDIDATE: frozenset(
        {ModelVersion.Stage.PREPRODUCTION, ModelVersion.Stage.PRODUCTION, ModelVersion.Stage.REJECTED}
    ),
    ModelVersion.Stage.PREPRODUCTION: frozenset({ModelVersion.Stage.PRODUCTION, ModelVersion.Stage.REJECTED}),
    ModelVersion.Stage.PRODUCTION: frozenset(),
    ModelVersion.Stage.RETIRED: frozenset({ModelVersion.Stage.PRODUCTION}),
    ModelVersion.Stage.REJECTED: frozenset({ModelVersion.Stage.CANDIDATE}),
}

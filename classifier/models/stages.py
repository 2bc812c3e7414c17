"""Who asked for a change of a version's stage, who decided it, why and on what evidence."""

import hashlib
import json
from collections.abc import Mapping
from typing import Any

from django.contrib.auth.models import User
from django.db import models
from django.db.models import F, Q
from django.db.models.functions import Now

from classifier.models.versions import ModelVersion
from config.db.naming import name_related


class StageChange(models.Model):
    """A change of stage that somebody asked for, and what became of it. Rows are added and decided once.

    Triggers of the database refuse to delete a row, and to write over a decided one or over what was asked. `evidence`
    is what was known when it was asked for: the versions by their manifests, and what the gate found; an approval holds
    for that alone. `rule` says why an approved one could be approved, and stays so whatever the settings say later.
    """

    class Decision(models.TextChoices):
        OPEN = "open", "Waits for a decision"
        APPROVED = "approved"
        REJECTED = "rejected"
        WITHDRAWN = "withdrawn"
        EXPIRED = "expired"

    class Rule(models.TextChoices):
        TWO = "two", "approved by another person"
        ONE = "one", "in single-person mode"
        FREE = "free", "which takes no approval: no label depends on it"
        FIRST = "first", "which takes no approval: nothing was ever in production"
        ROLLBACK = "rollback", "going back to what was replaced"

    class Way(models.TextChoices):
        PAGE = "page", "on a page"
        API = "api", "by the API"
        ADMIN = "admin", "in the admin"
        COMMAND = "command", "by a command"
        TRAINING = "training", "by a training"
        WATCH = "watch", "by the watch after its activation"

    model_version = models.ForeignKey(ModelVersion, on_delete=models.PROTECT, related_name="stage_changes")
    from_stage = models.CharField(max_length=16, choices=ModelVersion.Stage)
    to_stage = models.CharField(max_length=16, choices=ModelVersion.Stage)
    way = models.CharField(max_length=16, choices=Way, help_text="How it was asked for.")
    requested_by = models.ForeignKey(User, on_delete=models.PROTECT, null=True, blank=True, related_name="+")
    requested_at = models.DateTimeField(db_default=Now())
    reason = models.TextField(blank=True)
    forced = models.BooleanField(default=False, help_text="Asked for although the gate is not met.")
    evidence = models.JSONField(default=dict)
    evidence_sha256 = models.CharField(max_length=64)
    decision = models.CharField(max_length=16, choices=Decision, default=Decision.OPEN)
    rule = models.CharField(max_length=16, choices=Rule, blank=True, help_text="Why it could be approved.")
    decided_by = models.ForeignKey(User, on_delete=models.PROTECT, null=True, blank=True, related_name="+")
    decided_at = models.DateTimeField(null=True, blank=True)
    decision_reason = models.TextField(blank=True)
    without_catalogue = models.BooleanField(
        default=False, help_text="Approved by somebody who knew that the catalogue's own pictures gave no evidence."
    )
    replaced = models.ForeignKey(
        ModelVersion,
        on_delete=models.PROTECT,
        null=True,
        blank=True,
        related_name="+",
        help_text="The version that was in production before, and is retired by it.",
    )

    class Meta:
        ordering = ["-id"]
        default_permissions = ("view",)
        constraints = [
            models.UniqueConstraint(
                fields=["model_version"], condition=Q(decision="open"), name="stagechange_one_open_of_version"
            ),
            models.UniqueConstraint(fields=["rule"], condition=Q(rule="first"), name="stagechange_one_first"),
            # Each comparison with NULL would pass: both users are named.
            models.CheckConstraint(
                condition=~Q(rule="two")
                | (Q(requested_by__isnull=False, decided_by__isnull=False) & ~Q(decided_by=F("requested_by"))),
                name="stagechange_approved_by_another",
            ),
            models.CheckConstraint(
                condition=Q(decision="approved", rule__in=["two", "one", "free", "first", "rollback"])
                | (~Q(decision="approved") & Q(rule="")),
                name="stagechange_rule_of_approved",
            ),
            models.CheckConstraint(
                condition=Q(rule__in=["", "two", "one"])
                | (Q(rule="free") & ~Q(to_stage="production"))
                | Q(rule__in=["first", "rollback"], to_stage="production"),
                name="stagechange_production_is_approved",
            ),
            models.CheckConstraint(
                condition=Q(decision="open", decided_at__isnull=True, decided_by__isnull=True)
                | (~Q(decision="open") & Q(decided_at__isnull=False)),
                name="stagechange_decided_at",
            ),
        ]

    def __str__(self) -> str:
        return f"{name_related(self, 'model_version')} from {self.from_stage} to {self.to_stage} ({self.decision})"

    @property
    def is_open(self) -> bool:
        """Whether nobody decided it yet."""
        return self.decision == self.Decision.OPEN

    @property
    def tag(self) -> str:
        """What stands for this request as it is now: its evidence, and whether it is decided."""
        return f"{self.pk}-{self.decision}-{self.evidence_sha256[:16]}"


def hash_evidence(evidence: Mapping[str, Any]) -> str:
    """Return the SHA-256 of a JSON document, whatever the order of its keys."""
    return hashlib.sha256(json.dumps(evidence, sort_keys=True, separators=(",", ":")).encode()).hexdigest()


class ArtefactAnswers(models.Model):
    """What an artefact said when it was registered, by the hash of its manifest; it would say the same today.

    `golden` are the probabilities of a batch that is always the same, half-precision numbers; `said` and `truth` the
    garments of Fashion-MNIST's test pictures, a byte each, empty while it was not asked them.
    """

    manifest_sha256 = models.CharField(max_length=64, primary_key=True)
    pictures_sha256 = models.CharField(max_length=64, blank=True, default="", help_text="Empty: it was not asked.")
    said = models.BinaryField(default=b"")
    truth = models.BinaryField(default=b"")
    golden = models.BinaryField()
    created_at = models.DateTimeField(db_default=Now())

    class Meta:
        default_permissions = ()

    def __str__(self) -> str:
        return f"answers of artefact {self.manifest_sha256[:12]}"

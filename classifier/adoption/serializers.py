"""The JSON of model versions, of requests to change their stage, and of what they would change."""

from typing import Any

from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers

from classifier.adoption.impact import Impact
from classifier.ml.judging.shares import Share
from classifier.models import STAGE_TRANSITIONS, ImpactRun, ModelVersion, StageChange, TrainingRun
from config.web.queries import IdField, PageQuery

Stage = ModelVersion.Stage
MAXIMUM_REASON = 2000
#: What somebody may ask for.
ASKED_STAGES = [stage for stage in Stage if any(stage in to for to in STAGE_TRANSITIONS.values())]


class ModelVersionSerializer(serializers.ModelSerializer[ModelVersion]):
    """A registered model version; its metrics are those of the test pictures."""

    training_run = serializers.SerializerMethodField(help_text="The training run that made it, if one did.")

    class Meta:
        model = ModelVersion
        fields = [
            "id",
            "name",
            "stage",
            "recipe",
            "seed",
            "manifest_sha256",
            "metrics",
            "created_at",
            "activated_at",
            "training_run",
        ]

    def get_training_run(self, version: ModelVersion) -> int | None:
        """Return the run's id or None; the run has been loaded with the version."""
        run: TrainingRun | None = getattr(version, "training_run", None)
        return run.pk if run else None


class StageChangeSerializer(serializers.ModelSerializer[StageChange]):
    """A change of stage that somebody asked for, on what evidence, and what became of it."""

    model_version_name = serializers.CharField(source="model_version.name")
    requested_by = serializers.SlugRelatedField[Any](slug_field="username", read_only=True, allow_null=True)
    rule = serializers.CharField(
        read_only=True, help_text=f"Why it could be approved: {', '.join(StageChange.Rule.values)}; empty if it is not."
    )
    decided_by = serializers.SlugRelatedField[Any](slug_field="username", read_only=True, allow_null=True)

    class Meta:
        model = StageChange
        fields = read_only_fields = [
            "id",
            "model_version",
            "model_version_name",
            "from_stage",
            "to_stage",
            "way",
            "requested_by",
            "requested_at",
            "reason",
            "forced",
            "evidence",
            "evidence_sha256",
            "decision",
            "rule",
            "decided_by",
            "decided_at",
            "decision_reason",
            "without_catalogue",
            "replaced",
        ]


class StageChangeQuery(PageQuery):
    """The filters and the page of the list of requests."""

    model_version = IdField(required=False, help_text="The version.")
    decision = serializers.ChoiceField(StageChange.Decision.choices, required=False, help_text="What became of it.")


class StageRequestSerializer(serializers.Serializer[Any]):
    """Which stage is asked for, and why."""

    to = serializers.ChoiceField([stage.value for stage in ASKED_STAGES])
    reason = serializers.CharField(max_length=MAXIMUM_REASON)
    force = serializers.BooleanField(default=False, help_text="Ask for it although the gate is not met.")


class DecisionSerializer(serializers.Serializer[Any]):
    """Why it is decided so."""

    reason = serializers.CharField(max_length=MAXIMUM_REASON)


class ApprovalSerializer(DecisionSerializer):
    """The same, and whether it is known that the catalogue gave no evidence."""

    without_catalogue = serializers.BooleanField(
        default=False, help_text="Needed where fewer than 30 of the catalogue's own pictures could be compared."
    )


class RollbackSerializer(DecisionSerializer):
    """Why it is gone back."""


class ImpactShareSerializer(serializers.Serializer[Share]):
    """A share of the products looked at, with its 95 % interval where they were drawn; null for fewer than 30."""

    value = serializers.FloatField(allow_null=True)
    low = serializers.FloatField(allow_null=True)
    high = serializers.FloatField(allow_null=True)
    count = serializers.IntegerField(help_text="The products looked at.")


class ImpactCellSerializer(serializers.Serializer[Any]):
    """Products with one label that would have another: a group, or a status where there is none."""

    was = serializers.CharField()
    becomes = serializers.CharField()
    products = serializers.IntegerField()


class ImpactSerializer(serializers.Serializer[Impact]):
    """What a version would change, by its newest shadow run that is done."""

    id = serializers.IntegerField(source="run.pk")
    state = serializers.ChoiceField(ImpactRun.State.choices, source="run.state")
    model_version = serializers.IntegerField(source="run.model_version_id")
    production = serializers.IntegerField(source="run.production_id", allow_null=True)
    labelling_run = serializers.IntegerField(source="run.shadow_id")
    current = serializers.BooleanField(source="is_current", help_text="Whether labels still follow `production`.")
    sample = serializers.IntegerField(source="run.shadow.sample", allow_null=True, help_text="Null: every product.")
    products = serializers.IntegerField(source="run.done")
    missing = serializers.IntegerField(source="run.missing", help_text="Products whose picture it has not seen.")
    changed = ImpactShareSerializer()
    newly_sure = ImpactShareSerializer(help_text="A group where there is none.")
    newly_unsure = ImpactShareSerializer(help_text="No group where there is one.")
    cells = serializers.SerializerMethodField()
    countries = serializers.SerializerMethodField(help_text="The share that would change, by country.")
    hosts = serializers.SerializerMethodField(help_text="The share that would change, by the first picture's host.")

    @extend_schema_field(ImpactCellSerializer(many=True))
    def get_cells(self, impact: Impact) -> list[dict[str, Any]]:
        """Return the products by what their label is and would be, those that stay the same as well."""
        return [{"was": was, "becomes": becomes, "products": number} for was, becomes, number in impact.run.cells]

    @extend_schema_field(serializers.DictField(child=ImpactShareSerializer()))
    def get_countries(self, impact: Impact) -> dict[str, Any]:
        """Return the share of each country."""
        return {name: share.to_json() for name, share in impact.countries}

    @extend_schema_field(serializers.DictField(child=ImpactShareSerializer()))
    def get_hosts(self, impact: Impact) -> dict[str, Any]:
        """Return the share of each host."""
        return {name: share.to_json() for name, share in impact.hosts}

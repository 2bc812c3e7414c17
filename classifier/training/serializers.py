"""The JSON of trainings."""

from typing import Any

from drf_spectacular.utils import extend_schema_serializer
from rest_framework import serializers

from classifier.ml.config import (
    DEFAULT_RECIPE,
    IMAGENET,
    NO_WEIGHTS,
    RECIPES,
    ConfigurationError,
    check_start,
    get_recipe,
)
from classifier.models import TrainingRun
from classifier.runs.api import RUN_FIELDS, RunSerializer
from classifier.training.runs import find_usual_weights


@extend_schema_serializer(component_name="TrainingRun")
class TrainingRunRequestSerializer(serializers.Serializer[Any]):
    """What to train."""

    recipe = serializers.ChoiceField(list(RECIPES), default=DEFAULT_RECIPE)
    seed = serializers.IntegerField(min_value=0, max_value=2**32 - 1, default=1)
    epochs = serializers.IntegerField(
        min_value=1, max_value=1000, allow_null=True, default=None, help_text="Null: as many as the recipe says."
    )
    limit = serializers.IntegerField(
        min_value=1, max_value=1_000_000, allow_null=True, default=None, help_text="Null: every training picture."
    )
    backbone_weights = serializers.ChoiceField(
        [IMAGENET, NO_WEIGHTS],
        allow_blank=True,
        default="",
        help_text="What the backbone starts from: ImageNet's weights, or none, which are random ones. Empty: as the "
        "settings say.",
    )

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        """Refuse weights that the recipe learns nothing from."""
        try:
            check_start(get_recipe(attrs["recipe"]), weights=attrs["backbone_weights"] or find_usual_weights())
        except ConfigurationError as error:
            raise serializers.ValidationError({"backbone_weights": [f"{error}."]}) from error
        return attrs


class TrainingRunSerializer(RunSerializer):
    """A training and how far it is; `progress` has the phase, the epoch and the figures of each epoch so far."""

    class Meta:
        model = TrainingRun
        fields = [
            *RUN_FIELDS,
            "recipe",
            "seed",
            "epochs",
            "limit",
            "backbone_weights",
            "waits_for_answers",
            "progress",
            "model_version",
            "heartbeat_at",
        ]

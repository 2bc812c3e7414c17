"""The JSON of model versions."""

from rest_framework import serializers

from classifier.models import ModelVersion, TrainingRun


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

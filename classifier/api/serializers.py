"""The JSON of classifications."""

from rest_framework import serializers

from classifier.listing import get_probabilities
from classifier.models import Classification


class ClassificationSerializer(serializers.ModelSerializer[Classification]):
    """What one model version said of one picture in one run."""

    model_version = serializers.CharField(source="model_version.name")
    group_probabilities = serializers.SerializerMethodField()
    garment_probabilities = serializers.SerializerMethodField()

    class Meta:
        model = Classification
        fields = [
            "id",
            "run",
            "model_version",
            "sha256",
            "group",
            "garment",
            "confidence",
            "abstained",
            "group_probabilities",
            "garment_probabilities",
            "created_at",
        ]

    def get_group_probabilities(self, classification: Classification) -> dict[str, float]:
        """Return the probability of each group."""
        return get_probabilities(classification)[1]

    def get_garment_probabilities(self, classification: Classification) -> dict[str, float]:
        """Return the probability of each garment."""
        return get_probabilities(classification)[0]

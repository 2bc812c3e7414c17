"""The JSON of reviews."""

from rest_framework import serializers

from catalog.models import Image
from classifier.models import Review


class ReviewSerializer(serializers.ModelSerializer[Review]):
    """A person's label for an image."""

    # A number and nothing that could be made one: 1.5 is no image.
    image = serializers.PrimaryKeyRelatedField(queryset=Image.objects.all(), pk_field=serializers.IntegerField())
    reviewer = serializers.CharField(source="reviewer.username", read_only=True)

    class Meta:
        model = Review
        fields = ["id", "image", "group", "garment", "note", "reviewer", "created_at", "withdrawn_at"]
        read_only_fields = ["id", "created_at", "withdrawn_at"]
        extra_kwargs = {"note": {"max_length": 2000}}

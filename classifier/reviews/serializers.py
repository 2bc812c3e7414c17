"""The JSON of reviews, of the queues, and of the tiles that are lent to a reviewer."""

from typing import Any

from django.urls import reverse
from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers

from catalog.browse.serializers import build_thumbnail_url
from catalog.models import GARMENT_CHOICES
from classifier.models import SUGGESTION_CHOICES, QueueName, Review, ReviewRun, ReviewTile
from classifier.reviews.batches import DEFAULT_SIZE, MAXIMUM_SIZE, Tile
from classifier.reviews.queues import QUEUES, Queue
from classifier.reviews.recording import Outcome, Result, Submission
from classifier.reviews.services import ReviewError, check_label
from classifier.runs.api import RUN_FIELDS, RunSerializer
from config.web.queries import IdField

#: Reviews that one call may bring.
MAXIMUM_REVIEWS = 200


class ReviewSerializer(serializers.ModelSerializer[Review]):
    """A person's label for an image, and how it came about."""

    image = IdField(source="image_id")
    batch = IdField(
        source="batch_id",
        required=False,
        allow_null=True,
        help_text="The batch of yours that lent the tile.",
    )
    seen_review = IdField(
        required=False,
        allow_null=True,
        write_only=True,
        help_text="The id of the person's label that stood when you looked; null: there was none.",
    )
    appearance = serializers.CharField(
        max_length=64,
        required=False,
        allow_blank=True,
        write_only=True,
        help_text="The look of the picture that you saw, as the tile has it; empty: not compared.",
    )
    queue = serializers.ChoiceField(QueueName.choices, allow_blank=True, read_only=True)
    suggestion = serializers.ChoiceField(
        SUGGESTION_CHOICES, allow_blank=True, read_only=True, help_text="What was shown: a group or a verdict."
    )
    reviewer = serializers.CharField(source="reviewer.username", read_only=True)

    class Meta:
        model = Review
        fields = [
            "id",
            "image",
            "verdict",
            "group",
            "garment",
            "note",
            "batch",
            "seen_review",
            "appearance",
            "queue",
            "blind",
            "suggestion",
            "inclusion_probability",
            "control",
            "run",
            "reviewer",
            "created_at",
            "withdrawn_at",
        ]
        read_only_fields = [
            "id",
            "blind",
            "inclusion_probability",
            "control",
            "run",
            "created_at",
            "withdrawn_at",
        ]
        extra_kwargs = {"note": {"max_length": 2000}}

    def validate(self, attributes: dict[str, Any]) -> dict[str, Any]:
        """Refuse a garment of another group, and a group that does not go with the verdict."""
        label = {name: attributes[name] for name in ("garment", "verdict") if name in attributes}
        try:
            check_label(attributes.get("group", ""), **label)
        except ReviewError as error:
            raise serializers.ValidationError(
                {"garment" if attributes.get("garment") else "group": str(error)}
            ) from error
        return attributes

    def get_submission(self) -> Submission:
        """Return what a valid review says."""
        renamed = {"image_id": "image", "batch_id": "batch"}
        return Submission(**{renamed.get(name, name): value for name, value in self.validated_data.items()})


class ReviewResultSerializer(serializers.Serializer[Result]):
    """What became of one review of a list."""

    outcome = serializers.ChoiceField([(outcome.value, outcome.value) for outcome in Outcome])
    detail = serializers.CharField(help_text="What was expected and what is there; empty of what was recorded.")
    review = ReviewSerializer(allow_null=True, help_text="What was recorded.")
    standing = ReviewSerializer(allow_null=True, help_text="With `conflict`, the label that stands instead.")
    errors = serializers.DictField(  # type: ignore[assignment]  # shadows Serializer.errors
        child=serializers.ListField(child=serializers.CharField()),
        allow_null=True,
        help_text="With `invalid`, the messages for each field.",
    )


class ReviewResultsSerializer(serializers.Serializer[Any]):
    """What became of each review of a list, in its order."""

    results = ReviewResultSerializer(many=True)


class TileSerializer(serializers.Serializer[Tile]):
    """A product that is lent to a reviewer, and what is shown beside its picture."""

    product = serializers.IntegerField(source="row.product_id")
    image = serializers.IntegerField(source="row.image_id")
    title = serializers.CharField(source="row.product.title")
    image_url = serializers.CharField(source="row.image.url")
    thumbnail_url = serializers.SerializerMethodField(help_text="Our own re-encoded copy; null while we hold none.")
    full_size_url = serializers.SerializerMethodField(help_text="The same in full size.")
    appearance = serializers.CharField(help_text="Send it with the review of this picture.")
    state = serializers.ChoiceField(ReviewTile.State.choices, source="row.state")
    blind = serializers.BooleanField(source="row.blind", help_text="Nothing is suggested, so that nobody follows it.")
    suggestion = serializers.ChoiceField(SUGGESTION_CHOICES, source="row.suggestion", allow_blank=True)
    garment = serializers.ChoiceField(GARMENT_CHOICES, allow_blank=True, help_text="Of the suggestion.")
    confidence = serializers.FloatField(allow_null=True, min_value=0.0, max_value=1.0, help_text="Of the suggestion.")
    seen_review = serializers.IntegerField(allow_null=True, help_text="Send it with the review of this picture.")

    @extend_schema_field(serializers.URLField(allow_null=True))
    def get_thumbnail_url(self, tile: Tile) -> str | None:
        """Return the absolute address of our copy, or None."""
        return build_thumbnail_url(tile.picture.sha256 if tile.picture else None, context=self.context)

    @extend_schema_field(serializers.URLField(allow_null=True))
    def get_full_size_url(self, tile: Tile) -> str | None:
        """Return the absolute address of our copy in full size, or None."""
        address = reverse("full-size", args=[tile.picture.sha256]) if tile.picture else None
        return self.context["request"].build_absolute_uri(address) if address else None


class ReviewRunSerializer(RunSerializer):
    """One label for many pictures: how far its recording is, and whether it is withdrawn."""

    requested_by = serializers.CharField(source="requested_by.username", read_only=True)

    class Meta:
        model = ReviewRun
        fields = [
            *RUN_FIELDS,
            *("verdict", "group", "note", "requested_by"),
            *("total", "done", "skipped", "withdrawal_requested", "withdrawn_at"),
        ]


class QueueSerializer(serializers.Serializer[Queue]):
    """A queue of pictures that wait for a person."""

    name = serializers.ChoiceField(QueueName.choices)
    title = serializers.CharField()
    sentence = serializers.CharField(help_text="What it is for.")
    count = serializers.IntegerField(allow_null=True, help_text="How many wait; null: not counted.")


class ReviewBatchSerializer(serializers.Serializer[Any]):
    """Tiles that are lent to you; without an id and with no tiles where nothing waits."""

    id = serializers.IntegerField(allow_null=True)
    queue = serializers.ChoiceField(QueueName.choices)
    filter = serializers.DictField()
    expires_at = serializers.DateTimeField(allow_null=True, help_text="Every review of a tile puts it off.")
    tiles = TileSerializer(many=True)


class ReviewBatchRequestSerializer(serializers.Serializer[Any]):
    """Which tiles are asked for."""

    queue = serializers.ChoiceField([choice for choice in QueueName.choices if choice[0] in (*QUEUES, QueueName.LIST)])
    size = serializers.IntegerField(min_value=1, max_value=MAXIMUM_SIZE, default=DEFAULT_SIZE)
    filter = serializers.DictField(
        required=False, help_text='Parameters of the list of products, such as {"group": ["Bags"]}; of `list` alone.'
    )

    def validate(self, attributes: dict[str, Any]) -> dict[str, Any]:
        """Refuse a filter of what is no list: it would be taken for honoured."""
        if attributes.get("filter") and attributes["queue"] != QueueName.LIST:
            raise serializers.ValidationError({"filter": f"Expected no filter of {attributes['queue']}, only of list."})
        return attributes

"""The JSON of the classifier: what is sent to it and what it answers."""

from dataclasses import asdict
from datetime import datetime
from typing import Any

from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers

from catalog.models import Image
from classifier.listing import get_probabilities
from classifier.ml.config import DEFAULT_RECIPE, RECIPES
from classifier.ml.labels import GARMENTS, GROUPS
from classifier.models import Classification, LabellingRun, LabelTask, ModelVersion, Review, TrainingRun
from classifier.selectors import get_run_progress, list_error_counts


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


class PictureSerializer(serializers.Serializer[Any]):
    """A picture to classify, as the part of a form."""

    picture = serializers.FileField(
        allow_empty_file=True, max_length=255, help_text="JPEG, PNG, WebP or GIF, 16 pixels to 40 megapixels."
    )


class PictureAnswerSerializer(serializers.Serializer[Any]):
    """What was said of a picture; with an `error` everything but `path` is null."""

    path = serializers.CharField(help_text="The file's name.")
    group = serializers.ChoiceField(GROUPS, allow_null=True)
    garment = serializers.ChoiceField(GARMENTS, allow_null=True)
    confidence = serializers.FloatField(allow_null=True, min_value=0.0, max_value=1.0)
    abstained = serializers.BooleanField(allow_null=True)
    group_probabilities = serializers.DictField(child=serializers.FloatField(), allow_null=True)
    garment_probabilities = serializers.DictField(child=serializers.FloatField(), allow_null=True)
    error = serializers.CharField(allow_null=True, help_text="A code, as in the error queue.")


class ReviewSerializer(serializers.ModelSerializer[Review]):
    """A person's label for an image."""

    # A number and nothing that could be made one: 1.5 is no image.
    image = serializers.PrimaryKeyRelatedField(queryset=Image.objects.all(), pk_field=serializers.IntegerField())
    reviewer = serializers.CharField(source="reviewer.username", read_only=True)

    class Meta:
        model = Review
        fields = ["id", "image", "group", "garment", "note", "reviewer", "created_at"]
        read_only_fields = ["id", "created_at"]
        extra_kwargs = {"note": {"max_length": 2000}}


class ErrorSerializer(serializers.ModelSerializer[LabelTask]):
    """A picture that could not be labelled: why, how often, and when it is tried again."""

    code = serializers.CharField(source="error_code")
    image_url = serializers.CharField(source="image.url")
    model_version = serializers.CharField(source="model_version.name")
    next_try_at = serializers.SerializerMethodField(help_text="Null unless it waits for another try.")

    class Meta:
        model = LabelTask
        fields = [
            "id",
            "image",
            "image_url",
            "code",
            "state",
            "attempts",
            "crashes",
            "run",
            "model_version",
            "first_failed_at",
            "last_failed_at",
            "next_try_at",
        ]

    def get_next_try_at(self, task: LabelTask) -> datetime | None:
        """Return when it is tried again, or None."""
        return task.next_try_at if task.state == LabelTask.State.RETRY else None


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


class LabellingRunRequestSerializer(serializers.Serializer[Any]):
    """What a labelling run shall do; everything may be left out."""

    relabel = serializers.BooleanField(default=False, help_text="Label again what the active version has labelled.")
    limit = serializers.IntegerField(
        min_value=1, max_value=2**31 - 1, allow_null=True, default=None, help_text="Take at most so many pictures."
    )


class RunProgressSerializer(serializers.Serializer[Any]):
    """The tasks of a labelling run by state."""

    total = serializers.IntegerField(help_text="Grows while the run is taking pictures.")
    new = serializers.IntegerField()
    running = serializers.IntegerField()
    done = serializers.IntegerField()
    waiting = serializers.IntegerField(help_text="Failed, and will be tried again.")
    failed = serializers.IntegerField(help_text="Given up or ignored; see the error queue.")
    cancelled = serializers.IntegerField()


class LabellingRunSerializer(serializers.ModelSerializer[LabellingRun]):
    """A labelling run and how far it is, in two queries."""

    model_version = serializers.CharField(source="model_version.name")
    taking_pictures = serializers.BooleanField(
        source="is_taking", help_text="Whether there are pictures that the run has not looked at yet."
    )
    progress = serializers.SerializerMethodField()
    error_codes = serializers.SerializerMethodField(help_text="How many pictures are in the error queue, by code.")

    class Meta:
        model = LabellingRun
        fields = [
            "id",
            "state",
            "relabel",
            "limit",
            "model_version",
            "taking_pictures",
            "progress",
            "error_codes",
            "created_at",
            "finished_at",
        ]

    @extend_schema_field(RunProgressSerializer)
    def get_progress(self, run: LabellingRun) -> dict[str, int]:
        """Return the number of tasks in each state."""
        return asdict(get_run_progress(run))

    def get_error_codes(self, run: LabellingRun) -> dict[str, int]:
        """Return the number of failed tasks for each code, most frequent first."""
        return dict(list_error_counts(run))


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


class TrainingRunSerializer(serializers.ModelSerializer[TrainingRun]):
    """A training and how far it is; `progress` has the phase, the epoch and the figures of each epoch so far."""

    class Meta:
        model = TrainingRun
        fields = [
            "id",
            "state",
            "recipe",
            "seed",
            "epochs",
            "limit",
            "cancel_requested",
            "progress",
            "error",
            "model_version",
            "created_at",
            "started_at",
            "heartbeat_at",
            "finished_at",
        ]

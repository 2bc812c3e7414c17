"""The JSON of labelling runs and of the error queue."""

from dataclasses import asdict
from datetime import datetime
from typing import Any

from drf_spectacular.utils import extend_schema_field, extend_schema_serializer
from rest_framework import serializers

from classifier.labelling.reports import get_run_report
from classifier.labelling.selectors import SUSPECTED
from classifier.labels.decision import PLACEHOLDER
from classifier.models import LabellingRun, LabelTask, ModelVersion, SuspectedPicture
from classifier.runs.api import RUN_FIELDS, RunSerializer

SUSPECT_STATES = {"": SUSPECTED, SuspectedPicture.Answer.PICTURE: "picture", SuspectedPicture.Answer.IGNORE: "ignored"}


class ErrorSerializer(serializers.ModelSerializer[LabelTask]):
    """A picture that could not be labelled: why, how often, and when it is tried again; or a suspected picture."""

    id = serializers.IntegerField(help_text="Below zero for a suspected picture.")
    image = serializers.IntegerField(source="image_id", allow_null=True, help_text="Of a suspected one: any with it.")
    image_url = serializers.CharField(source="image.url", allow_null=True)
    code = serializers.CharField(source="error_code", help_text="`placeholder` for a suspected picture.")
    state = serializers.ChoiceField(
        [*LabelTask.State.choices, (SUSPECTED, "waits for an answer"), ("picture", "no placeholder, a person said")]
    )
    run = serializers.IntegerField(source="run_id", allow_null=True)
    model_version = serializers.CharField(source="model_version.name", allow_null=True)
    next_try_at = serializers.SerializerMethodField(help_text="Null unless it waits for another try.")
    products = serializers.SerializerMethodField(help_text="How many show a suspected picture first; else null.")

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
            "products",
        ]

    def to_representation(self, entry: Any) -> dict[str, Any]:
        """Return the entry's JSON; a suspected picture has null where tasks have what it has not."""
        if not isinstance(entry, SuspectedPicture):
            return super().to_representation(entry)
        found_at = serializers.DateTimeField().to_representation(entry.found_at)
        known = {
            "id": -entry.pk,
            "image": vars(entry)["image"],
            "image_url": vars(entry)["image_url"],
            "code": PLACEHOLDER,
            "state": SUSPECT_STATES[entry.answer],
            "attempts": 0,
            "crashes": 0,
            "first_failed_at": found_at,
            "last_failed_at": found_at,
            "products": entry.products,
        }
        return {name: known.get(name) for name in self.Meta.fields}

    @extend_schema_field(serializers.IntegerField(allow_null=True))
    def get_products(self, task: LabelTask) -> None:
        """Return nothing: a task is about one picture's row."""

    def get_next_try_at(self, task: LabelTask) -> datetime | None:
        """Return when it is tried again, or None."""
        return task.next_try_at if task.state == LabelTask.State.RETRY else None


@extend_schema_serializer(component_name="LabellingRun")
class LabellingRunRequestSerializer(serializers.Serializer[Any]):
    """What a labelling run shall do; everything may be left out."""

    relabel = serializers.BooleanField(
        default=False, help_text="Label again what the version in production has labelled."
    )
    features_only = serializers.BooleanField(
        default=False, help_text="Look at pictures that are held and have no features; no label changes."
    )
    limit = serializers.IntegerField(
        min_value=1, max_value=2**31 - 1, allow_null=True, default=None, help_text="Take at most so many pictures."
    )
    purpose = serializers.ChoiceField(
        ["label", "shadow"],
        default="label",
        help_text="shadow: ask `model_version`, which is not in production; no label moves.",
    )
    model_version = serializers.PrimaryKeyRelatedField(
        queryset=ModelVersion.objects.all(), allow_null=True, default=None, help_text="Of a shadow: the version's id."
    )
    sample = serializers.IntegerField(
        min_value=1,
        max_value=1_000_000,
        allow_null=True,
        default=None,
        help_text="Of a shadow: so many products drawn at random; null is every product.",
    )

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        """Return what was asked for, as `start_labelling_run` takes it.

        Raises `ValidationError` for a wish that contradicts itself.
        """
        is_shadow, version = attrs.pop("purpose") == "shadow", attrs.pop("model_version")
        if attrs["relabel"] and attrs["features_only"]:
            raise serializers.ValidationError({"features_only": ["Expected false where relabel is true."]})
        if is_shadow and version is None:
            raise serializers.ValidationError({"model_version": ["Expected the id of a version for a shadow."]})
        if not is_shadow and (version or attrs["sample"]):
            name = "model_version" if version else "sample"
            raise serializers.ValidationError({name: ["Expected null where the purpose is not shadow."]})
        for name in ("relabel", "features_only", "limit"):
            if is_shadow and attrs[name]:
                raise serializers.ValidationError({name: ["Expected nothing of a shadow."]})
        return {**attrs, "shadow": version}


class RunProgressSerializer(serializers.Serializer[Any]):
    """The pictures of a labelling run by state."""

    total = serializers.IntegerField(help_text="Grows while the run is taking pictures.")
    new = serializers.IntegerField()
    running = serializers.IntegerField()
    done = serializers.IntegerField()
    waiting = serializers.IntegerField(help_text="Failed, and will be tried again.")
    failed = serializers.IntegerField(help_text="Given up or ignored; see the error queue.")
    cancelled = serializers.IntegerField()


class RunWaitSerializer(serializers.Serializer[Any]):
    """Pictures of a run that wait through no fault of their own, and are tried again by themselves."""

    code = serializers.CharField(help_text="storage_error, artefact_error or worker_error.")
    pictures = serializers.IntegerField()
    since = serializers.DateTimeField()


class RunHostSerializer(serializers.Serializer[Any]):
    """A host that holds a run up: about how many of its pictures are to be fetched, and how long that takes."""

    host = serializers.CharField()
    pictures = serializers.IntegerField()
    per_second = serializers.FloatField(help_text="FETCH_HOST_RATES of the host, or the usual rate.")
    seconds = serializers.FloatField()


class LabellingRunSerializer(RunSerializer):
    """A labelling run and how far it is, as its page says it."""

    model_version = serializers.CharField(source="model_version.name")
    taking_pictures = serializers.BooleanField(
        source="is_taking", help_text="Whether there are pictures that the run has not looked at yet."
    )
    progress = serializers.SerializerMethodField()
    purpose = serializers.SerializerMethodField()
    waits = serializers.SerializerMethodField(help_text="What keeps pictures waiting, though they are not to blame.")
    hosts = serializers.SerializerMethodField(help_text="Hosts that make it take a minute or more, the longest first.")
    error_codes = serializers.SerializerMethodField(help_text="How many pictures are in the error queue, by code.")

    class Meta:
        model = LabellingRun
        fields = [
            *RUN_FIELDS,
            "relabel",
            "features_only",
            "purpose",
            "sample",
            "limit",
            "model_version",
            "taking_pictures",
            "progress",
            "from_features",
            "waits",
            "hosts",
            "error_codes",
        ]

    @extend_schema_field(serializers.ChoiceField(["label", "shadow"]))
    def get_purpose(self, run: LabellingRun) -> str:
        """Return whether labels move by it."""
        return "shadow" if run.shadow else "label"

    @extend_schema_field(RunProgressSerializer)
    def get_progress(self, run: LabellingRun) -> dict[str, int]:
        """Return the number of tasks in each state."""
        return asdict(get_run_report(run).progress)

    @extend_schema_field(RunWaitSerializer(many=True))
    def get_waits(self, run: LabellingRun) -> list[dict[str, Any]]:
        """Return what pictures wait for, the most frequent first."""
        waits = get_run_report(run).waits
        return [{"code": code, "pictures": number, "since": since} for code, number, since in waits]

    @extend_schema_field(RunHostSerializer(many=True))
    def get_hosts(self, run: LabellingRun) -> list[dict[str, Any]]:
        """Return which hosts hold the run up, the longest first."""
        return [asdict(pace) for pace in get_run_report(run).hosts]

    def get_error_codes(self, run: LabellingRun) -> dict[str, int]:
        """Return the number of failed tasks for each code, most frequent first; of an ended run those at its end."""
        return dict(get_run_report(run).codes)

"""The JSON of labelling runs and of the error queue."""

from dataclasses import asdict
from datetime import datetime
from typing import Any

from drf_spectacular.utils import extend_schema_field, extend_schema_serializer
from rest_framework import serializers

from classifier.labelling.reports import get_run_report
from classifier.models import LabellingRun, LabelTask
from classifier.runs.api import RUN_FIELDS, RunSerializer


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


@extend_schema_serializer(component_name="LabellingRun")
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


class RunWaitSerializer(serializers.Serializer[Any]):
    """Pictures of a run that wait through no fault of their own, and are tried again by themselves."""

    code = serializers.CharField(help_text="storage_error, artefact_error or worker_error.")
    pictures = serializers.IntegerField()
    since = serializers.DateTimeField()


class LabellingRunSerializer(RunSerializer):
    """A labelling run and how far it is, as its page says it."""

    model_version = serializers.CharField(source="model_version.name")
    taking_pictures = serializers.BooleanField(
        source="is_taking", help_text="Whether there are pictures that the run has not looked at yet."
    )
    progress = serializers.SerializerMethodField()
    waits = serializers.SerializerMethodField(help_text="What keeps pictures waiting, though they are not to blame.")
    error_codes = serializers.SerializerMethodField(help_text="How many pictures are in the error queue, by code.")

    class Meta:
        model = LabellingRun
        fields = [
            *RUN_FIELDS,
            "relabel",
            "limit",
            "model_version",
            "taking_pictures",
            "progress",
            "waits",
            "error_codes",
        ]

    @extend_schema_field(RunProgressSerializer)
    def get_progress(self, run: LabellingRun) -> dict[str, int]:
        """Return the number of tasks in each state."""
        return asdict(get_run_report(run).progress)

    @extend_schema_field(RunWaitSerializer(many=True))
    def get_waits(self, run: LabellingRun) -> list[dict[str, Any]]:
        """Return what pictures wait for, the most frequent first."""
        waits = get_run_report(run).waits
        return [{"code": code, "pictures": number, "since": since} for code, number, since in waits]

    def get_error_codes(self, run: LabellingRun) -> dict[str, int]:
        """Return the number of failed tasks for each code, most frequent first; of an ended run those at its end."""
        return dict(get_run_report(run).codes)

"""Updates of the pictures by group over HTTP."""

from typing import Any

from drf_spectacular.utils import extend_schema, extend_schema_serializer
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from classifier.labelling.outputs import (
    FILTERS,
    STORAGE,
    OutputError,
    OutputOpenError,
    cancel_output_run,
    start_output_run,
)
from classifier.models import OutputRun
from classifier.runs.api import RUN_FIELDS, RunCancelView, RunDetailView, RunSerializer, RunView
from config.web.permissions import get_member
from config.web.problems import ConflictError
from config.web.responses import LOCATION, PROBLEMS, RUN_ID, build_accepted, problems


@extend_schema_serializer(component_name="OutputRun")
class OutputRunRequestSerializer(serializers.Serializer[Any]):
    """Which pictures to bring where."""

    filters = serializers.CharField(
        max_length=1000,
        allow_blank=True,
        default=FILTERS,
        help_text="As the list of products has them in its address. Empty: every product.",
    )
    storage = serializers.CharField(max_length=64, default=STORAGE, help_text="Its name in the setting STORAGES.")


class OutputRunSerializer(RunSerializer):
    """An update and how far it is; `figures` are final once it is done."""

    class Meta:
        model = OutputRun
        fields = [*RUN_FIELDS, "storage", "filters", "done", "failed", "total", "figures"]


class OutputRunView(RunView):
    """Updates of the pictures by group."""

    queryset = OutputRun.objects.all()
    serializer_class = OutputRunSerializer


class OutputRunListView(OutputRunView):
    """Start updates."""

    @extend_schema(
        parameters=[LOCATION],
        request=OutputRunRequestSerializer,
        responses={202: OutputRunSerializer, **problems(400, 401, 403, 409, 415, 429)},
    )
    def post(self, request: Request) -> Response:
        """Have a worker bring the pictures of a storage up to date. 409 while another update of it is running."""
        form = OutputRunRequestSerializer(data=request.data)
        form.is_valid(raise_exception=True)
        try:
            run = start_output_run(user=get_member(request), **form.validated_data)
        except OutputError as error:
            raise serializers.ValidationError({error.field: [str(error)]}) from error
        except OutputOpenError as error:
            raise ConflictError(str(error)) from error
        return build_accepted(self.get_serializer(run).data, request=request, name="api-output-run-detail")


@extend_schema(parameters=[RUN_ID], responses={200: OutputRunSerializer, **PROBLEMS})
class OutputRunDetailView(OutputRunView, RunDetailView):
    """One update."""


@extend_schema(
    parameters=[RUN_ID], request=None, responses={200: OutputRunSerializer, **problems(401, 403, 404, 409, 429)}
)
class OutputRunCancelView(OutputRunView, RunCancelView):
    """The end of one update before its time."""

    cancel_run = staticmethod(cancel_output_run)

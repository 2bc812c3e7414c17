"""Drift checks and their alarms over HTTP."""

from typing import Any

from django.shortcuts import get_object_or_404
from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from classifier.ml.judging.drift import LEAST_PICTURES, DriftInputError
from classifier.models import Alarm, DriftCheck
from classifier.monitoring.follow_up import AlarmStateError, follow_up_alarm
from classifier.monitoring.services import acknowledge_alarm, check_drift, close_alarm
from classifier.registry.selectors import NoActiveModelVersionError
from config.web.model_views import ModelView, PagedListView
from config.web.permissions import ChangePermissions, WriteThrottle, get_member
from config.web.problems import ConflictError
from config.web.queries import PageQuery
from config.web.responses import PROBLEMS, problems

ALARM_ID = OpenApiParameter("id", int, OpenApiParameter.PATH)
ALARM_PROBLEMS = problems(401, 403, 404, 409, 429)


class DriftCheckRequestSerializer(serializers.Serializer[Any]):
    """Which pictures to compare with the reference."""

    window = serializers.IntegerField(
        min_value=LEAST_PICTURES,
        max_value=10_000_000,
        allow_null=True,
        default=None,
        help_text="The newest so many. Null: 500, or with `since` all of them.",
    )
    since = serializers.DateTimeField(allow_null=True, default=None, help_text="Only what was labelled since.")


class DriftCheckSerializer(serializers.ModelSerializer[DriftCheck]):
    """What a window of pictures said beside the reference; `tests` have p-values and effects, `findings` the rest."""

    class Meta:
        model = DriftCheck
        fields = [
            "id",
            "model_version",
            "created_at",
            "is_different",
            "reference_pictures",
            "window_pictures",
            "window_since",
            "permuted",
            "level",
            "false_alarm_rate",
            "tests",
            "findings",
        ]


class AlarmSerializer(serializers.ModelSerializer[Alarm]):
    """That pictures of late differ, and how far that was followed up."""

    class Meta:
        model = Alarm
        fields = [
            "id",
            "signal",
            "state",
            "segment",
            "audit",
            "training_run",
            "model_version",
            "first_check",
            "last_check",
            "created_at",
            "confirmed_at",
            "acknowledged_at",
            "closed_at",
        ]


class DriftCheckListView(PagedListView):
    """Drift checks, the newest first."""

    queryset = DriftCheck.objects.all()
    serializer_class = DriftCheckSerializer
    throttle_classes = [WriteThrottle]
    throttle_scope = "writes"

    @extend_schema(parameters=[PageQuery], responses={200: DriftCheckSerializer(many=True), **PROBLEMS})
    def get(self, request: Request, *args: Any, **kwargs: Any) -> Response:
        """Answer with a page of checks."""
        return self.list(request, *args, **kwargs)

    @extend_schema(
        parameters=[],
        request=DriftCheckRequestSerializer,
        responses={201: DriftCheckSerializer, **problems(400, 401, 403, 409, 413, 415, 429)},
    )
    def post(self, request: Request) -> Response:
        """Compare the newest pictures with the reference, now. 409 where there is nothing to compare."""
        asked = DriftCheckRequestSerializer(data=request.data)
        asked.is_valid(raise_exception=True)
        window, since = asked.validated_data["window"], asked.validated_data["since"]
        try:
            check = check_drift(pictures=window, since=since, user=get_member(request))
        except (DriftInputError, NoActiveModelVersionError) as error:
            raise ConflictError(str(error)) from error
        return Response(DriftCheckSerializer(check).data, status=201)


@extend_schema(parameters=[PageQuery], responses={200: AlarmSerializer(many=True), **PROBLEMS})
class AlarmListView(PagedListView):
    """Alarms, the newest first; of each signal at most one is not closed."""

    queryset = Alarm.objects.all()
    serializer_class = AlarmSerializer


class AlarmView(ModelView):
    """One alarm."""

    queryset = Alarm.objects.all()
    permission_classes = [ChangePermissions]
    serializer_class = AlarmSerializer

    def find(self, pk: int) -> Alarm:
        """Return the alarm; not found when there is none."""
        return get_object_or_404(self.get_queryset(), pk=pk)


class AlarmAcknowledgeView(AlarmView):
    """That somebody knows of an alarm."""

    @extend_schema(parameters=[ALARM_ID], request=None, responses={200: AlarmSerializer, **ALARM_PROBLEMS})
    def post(self, request: Request, pk: int) -> Response:
        """Acknowledge the alarm. 409 for one that is only suspected, or closed; twice is no error."""
        try:
            alarm = acknowledge_alarm(self.find(pk).pk, user=get_member(request))
        except AlarmStateError as error:
            raise ConflictError(str(error)) from error
        return Response(self.get_serializer(alarm).data)


class AlarmFollowUpView(AlarmView):
    """What an alarm leads to."""

    @extend_schema(parameters=[ALARM_ID], request=None, responses={200: AlarmSerializer, **ALARM_PROBLEMS})
    def post(self, request: Request, pk: int) -> Response:
        """Open an audit of the segment and a training that waits for it, also where another alarm did of late.

        409 for an alarm that is only suspected, or closed, and where there is nothing to ask about; twice is no error.
        """
        try:
            alarm = follow_up_alarm(self.find(pk).pk)
        except AlarmStateError as error:
            raise ConflictError(str(error)) from error
        return Response(self.get_serializer(alarm).data)


class AlarmCloseView(AlarmView):
    """The end of an alarm."""

    @extend_schema(parameters=[ALARM_ID], request=None, responses={200: AlarmSerializer, **ALARM_PROBLEMS})
    def post(self, request: Request, pk: int) -> Response:
        """Close the alarm, whatever its state. Twice is no error."""
        return Response(self.get_serializer(close_alarm(self.find(pk).pk, user=get_member(request))).data)

"""The figures over time as JSON: what the page draws."""

from datetime import date
from typing import Any

from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from classifier.ml.labels import GROUPS
from classifier.models import LabelChange
from classifier.monitoring.figures import BY_DAY, BY_VERSION, MAXIMUM_DAYS, find_figures, get_default_days
from config.web.model_views import ModelView
from config.web.permissions import ReadPermissions
from config.web.queries import AnyOfField
from config.web.responses import problems


class FiguresQuery(serializers.Serializer[dict[str, Any]]):
    """The days, and by what the figures are told apart."""

    to = serializers.DateField(required=False, help_text="The last day, in UTC. Default today.")
    by = AnyOfField(
        choices=[BY_DAY, BY_VERSION],
        required=False,
        help_text="What the figures are told apart by: day, the default, version, or both.",
    )

    def get_fields(self) -> dict[str, Any]:
        """Return the fields, `from` among them, which is no name in Python."""
        first = serializers.DateField(required=False, help_text="The first day, in UTC. Default 29 days before today.")
        return {"from": first, **super().get_fields()}

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        """Refuse days that end before they begin, and more than two years of them."""
        first, last = self.get_days(attrs)
        if not 0 <= (last - first).days < MAXIMUM_DAYS:
            message = f"Expected 1 to {MAXIMUM_DAYS} days; from {first} to {last} are {(last - first).days + 1:,}."
            raise serializers.ValidationError({"from" if "from" in attrs else "to": [message]})
        return attrs

    @staticmethod
    def get_days(attrs: dict[str, Any]) -> tuple[date, date]:
        """Return the first and the last day of what was asked for."""
        first, last = get_default_days()
        return attrs.get("from", first), attrs.get("to", last)


class NumbersField(serializers.DictField):
    """Numbers by their name."""

    child = serializers.IntegerField()


class FiguresRowSerializer(serializers.Serializer[Any]):
    """The figures of a day, a version, or a version's on one day; null is all of them."""

    day = serializers.DateField(allow_null=True)
    version = serializers.CharField(
        allow_null=True, allow_blank=True, help_text="The version behind the labels; empty of those without one."
    )
    labels = serializers.IntegerField(help_text="How many products got a label, anew each time.")
    unsure = serializers.IntegerField(help_text="Of these, those that wait for a person.")
    reviewed = serializers.IntegerField(help_text="Of these, those that a person gave.")
    groups = NumbersField(help_text="Of these, those of each group.")
    failures = NumbersField(help_text="Products that failed instead, by the error's code.")


class AccuracyOfDaySerializer(serializers.Serializer[Any]):
    """What the audit told by the end of a day, with its 95 % interval."""

    day = serializers.DateField()
    version = serializers.CharField(source="model_version")
    value = serializers.FloatField(source="accuracy.value")
    low = serializers.FloatField(source="accuracy.low")
    high = serializers.FloatField(source="accuracy.high")
    answers = serializers.IntegerField(source="accuracy.count")


class ActivationSerializer(serializers.Serializer[Any]):
    """A version that came into production."""

    at = serializers.DateTimeField()
    version = serializers.CharField()


class ConfirmedAlarmSerializer(serializers.Serializer[Any]):
    """An alarm of drift that a second check confirmed."""

    at = serializers.DateTimeField()
    signal = serializers.CharField(help_text="What differs, in words.")
    segment = serializers.CharField(help_text="Which part drives it; empty where no single one does.")


class FiguresSerializer(serializers.Serializer[Any]):
    """What the page of figures draws."""

    to = serializers.DateField(source="last")
    results = FiguresRowSerializer(many=True, source="rows")
    accuracy = AccuracyOfDaySerializer(many=True, source="accuracies")
    activations = ActivationSerializer(many=True)
    alarms = ConfirmedAlarmSerializer(many=True)

    def get_fields(self) -> dict[str, Any]:
        """Return the fields, `from` among them."""
        return {"from": serializers.DateField(source="first"), **super().get_fields()}


class FiguresView(ModelView):
    """Figures over time."""

    queryset = LabelChange.objects.none()
    permission_classes = [ReadPermissions]
    query_class = FiguresQuery
    serializer_class = FiguresSerializer

    @extend_schema(parameters=[FiguresQuery], responses={200: FiguresSerializer, **problems(400, 401, 403)})
    def get(self, request: Request) -> Response:
        """Return how many labels each day or version brought, how many were unsure, what failed, and how many right.

        They are counted from the history of labels, so that a day's figures stay as they are once it is over.
        """
        given = self.query.validated_data
        first, last = FiguresQuery.get_days(given)
        figures = find_figures(first, last, by=given.get("by") or (BY_DAY,))
        for row in figures.rows:
            row.groups.update(dict.fromkeys(GROUPS, 0))
        return Response(self.get_serializer(figures).data)

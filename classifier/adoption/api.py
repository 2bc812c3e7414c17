"""Model versions over HTTP: which there are, and which one is in production."""

from typing import Any

from django.shortcuts import get_object_or_404
from django.utils.http import parse_etags
from drf_spectacular.utils import OpenApiParameter, extend_schema, extend_schema_field
from rest_framework import serializers
from rest_framework.exceptions import NotFound
from rest_framework.request import Request
from rest_framework.response import Response

from classifier.adoption.impact import Impact, find_impact
from classifier.adoption.services import (
    StageTransitionError,
    StaleActivationError,
    activate_model_version,
    get_activation_tag,
)
from classifier.ml.artefacts import ArtefactError
from classifier.ml.judging.shares import Share
from classifier.models import ImpactRun, ModelVersion, TrainingRun
from config.web.model_views import ModelView, PagedListView
from config.web.permissions import ChangePermissions, get_member
from config.web.problems import ConflictError, PreconditionFailedError, PreconditionRequiredError
from config.web.queries import PageQuery
from config.web.responses import PROBLEMS, problems

VERSION_ID = OpenApiParameter("id", int, OpenApiParameter.PATH)
ETAG = OpenApiParameter(
    "ETag", str, OpenApiParameter.HEADER, response=[200], description="Which version is in production since when."
)
IF_MATCH = OpenApiParameter(
    "If-Match", str, OpenApiParameter.HEADER, required=True, description="The ETag that the list was answered with."
)


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


class ModelVersionView(ModelView):
    """Model versions."""

    queryset = ModelVersion.objects.select_related("training_run")
    serializer_class = ModelVersionSerializer


@extend_schema(parameters=[PageQuery, ETAG], responses={200: ModelVersionSerializer(many=True), **PROBLEMS})
class ModelVersionListView(ModelVersionView, PagedListView):
    """Model versions with their metrics, newest first. The ETag says which one is in production since when."""

    def list(self, request: Request, *args: Any, **kwargs: Any) -> Response:
        """Answer with a page and the ETag, which is read first: what it stands for is never newer than the page."""
        tag = get_activation_tag()
        response = super().list(request, *args, **kwargs)
        return with_tag(response, tag=tag)


class ModelVersionDetailView(ModelVersionView):
    """One model version."""

    @extend_schema(parameters=[VERSION_ID, ETAG], responses={200: ModelVersionSerializer, **PROBLEMS})
    def get(self, request: Request, pk: int) -> Response:
        """Answer with the version; the ETag is that of the list."""
        tag = get_activation_tag()
        version = get_object_or_404(self.get_queryset(), pk=pk)
        return with_tag(Response(self.get_serializer(version).data), tag=tag)


class ModelVersionActivationView(ModelVersionView):
    """The choice of the version in production."""

    permission_classes = [ChangePermissions]

    @extend_schema(
        parameters=[VERSION_ID, IF_MATCH, ETAG],
        request=None,
        responses={200: ModelVersionSerializer, **problems(401, 403, 404, 409, 412, 428, 429)},
    )
    def post(self, request: Request, pk: int) -> Response:
        """Bring this version into production: labels follow it, and open labelling runs of other versions end.

        If-Match is the ETag of the list: 412 when another version was activated since, 428 without it. 409 when the
        version's files are not those that were registered, or their network cannot be loaded.
        """
        version = get_object_or_404(self.get_queryset(), pk=pk)
        if "If-Match" not in request.headers:
            raise PreconditionRequiredError
        given = parse_etags(request.headers["If-Match"])
        # A weak tag is as good: it stands for a decision, and compression on the way makes it weak.
        expected = None if given == ["*"] else [tag.removeprefix("W/").strip('"') for tag in given]
        try:
            activate_model_version(version, expected_tags=expected, user=get_member(request))
        except StaleActivationError as error:
            raise PreconditionFailedError(str(error)) from error
        except ArtefactError as error:
            raise ConflictError(f"Expected a version that can be loaded: {error.reason}.") from error
        except StageTransitionError as error:
            raise ConflictError(str(error)) from error
        version.refresh_from_db()
        return with_tag(Response(self.get_serializer(version).data), tag=get_activation_tag())


class ImpactShareSerializer(serializers.Serializer[Share]):
    """A share of the products looked at, with its 95 % interval where they were drawn; null for fewer than 30."""

    value = serializers.FloatField(allow_null=True)
    low = serializers.FloatField(allow_null=True)
    high = serializers.FloatField(allow_null=True)
    count = serializers.IntegerField(help_text="The products looked at.")


class ImpactCellSerializer(serializers.Serializer[Any]):
    """Products with one label that would have another: a group, or a status where there is none."""

    was = serializers.CharField()
    becomes = serializers.CharField()
    products = serializers.IntegerField()


class ImpactSerializer(serializers.Serializer[Impact]):
    """What a version would change, by its newest shadow run that is done."""

    id = serializers.IntegerField(source="run.pk")
    state = serializers.ChoiceField(ImpactRun.State.choices, source="run.state")
    model_version = serializers.IntegerField(source="run.model_version_id")
    production = serializers.IntegerField(source="run.production_id", allow_null=True)
    labelling_run = serializers.IntegerField(source="run.shadow_id")
    current = serializers.BooleanField(source="is_current", help_text="Whether labels still follow `production`.")
    sample = serializers.IntegerField(source="run.shadow.sample", allow_null=True, help_text="Null: every product.")
    products = serializers.IntegerField(source="run.done")
    missing = serializers.IntegerField(source="run.missing", help_text="Products whose picture it has not seen.")
    changed = ImpactShareSerializer()
    newly_sure = ImpactShareSerializer(help_text="A group where there is none.")
    newly_unsure = ImpactShareSerializer(help_text="No group where there is one.")
    cells = serializers.SerializerMethodField()
    countries = serializers.SerializerMethodField(help_text="The share that would change, by country.")
    hosts = serializers.SerializerMethodField(help_text="The share that would change, by the first picture's host.")

    @extend_schema_field(ImpactCellSerializer(many=True))
    def get_cells(self, impact: Impact) -> list[dict[str, Any]]:
        """Return the products by what their label is and would be, those that stay the same as well."""
        return [{"was": was, "becomes": becomes, "products": number} for was, becomes, number in impact.run.cells]

    @extend_schema_field(serializers.DictField(child=ImpactShareSerializer()))
    def get_countries(self, impact: Impact) -> dict[str, Any]:
        """Return the share of each country."""
        return {name: share.to_json() for name, share in impact.countries}

    @extend_schema_field(serializers.DictField(child=ImpactShareSerializer()))
    def get_hosts(self, impact: Impact) -> dict[str, Any]:
        """Return the share of each host."""
        return {name: share.to_json() for name, share in impact.hosts}


class ModelVersionImpactView(ModelVersionView):
    """What a model version would change."""

    @extend_schema(parameters=[VERSION_ID], responses={200: ImpactSerializer, **PROBLEMS})
    def get(self, request: Request, pk: int) -> Response:
        """Answer with what would change if this version came into production; 404 before a shadow run of it is done.

        A shadow run is started by `POST labelling-runs/` with the purpose shadow.
        """
        impact = find_impact(get_object_or_404(self.get_queryset(), pk=pk))
        if impact is None:
            raise NotFound("Expected a version with a shadow run that is done.")
        return Response(ImpactSerializer(impact).data)


def with_tag(response: Response, *, tag: str) -> Response:
    """Return the response with this ETag."""
    response.headers["ETag"] = f'"{tag}"'
    return response

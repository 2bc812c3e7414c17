"""Model versions over HTTP: which there are, which one is in production, and who asked for and decided that."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from django.db.models import QuerySet
from django.shortcuts import get_object_or_404
from django.utils.http import parse_etags
from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework import serializers, status
from rest_framework.exceptions import NotFound, PermissionDenied
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.reverse import reverse

from classifier.adoption.impact import find_impact
from classifier.adoption.serializers import (
    ApprovalSerializer,
    DecisionSerializer,
    ImpactSerializer,
    ModelVersionSerializer,
    RollbackSerializer,
    StageChangeQuery,
    StageChangeSerializer,
    StageRequestSerializer,
)
from classifier.adoption.services import (
    Asker,
    MissingReasonError,
    OwnRequestError,
    Stage,
    StageError,
    StaleActivationError,
    Way,
    approve_stage_change,
    ask_for_stage,
    get_activation_tag,
    reject_stage_change,
    roll_back,
    withdraw_stage_change,
)
from classifier.ml.artefacts import ArtefactError
from classifier.models import ModelVersion, StageChange
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
CHANGE_ID = OpenApiParameter("id", int, OpenApiParameter.PATH)
CHANGE_ETAG = OpenApiParameter(
    "ETag", str, OpenApiParameter.HEADER, response=[200], description="The request as it is, with its evidence."
)
CHANGE_IF_MATCH = OpenApiParameter(
    "If-Match", str, OpenApiParameter.HEADER, required=True, description="The ETag that the request was answered with."
)
LOCATION = OpenApiParameter(
    "Location", str, OpenApiParameter.HEADER, response=[201, 202], description="The request's address."
)


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
        parameters=[VERSION_ID, IF_MATCH, ETAG, LOCATION],
        request=None,
        responses={
            200: ModelVersionSerializer,
            202: StageChangeSerializer,
            **problems(401, 403, 404, 409, 412, 428, 429),
        },
    )
    def post(self, request: Request, pk: int) -> Response:
        """Bring this version into production: labels follow it, and open labelling runs of other versions end.

        Where another person has to approve that, the answer is a 202 with the request. If-Match is the ETag of the
        list: 412 when another version was activated since, 428 without it. 409 when the version's files are not those
        that were registered, their network cannot be loaded, or the gate is not met.
        """
        version = get_object_or_404(self.get_queryset(), pk=pk)
        with refusals_as_problems():
            change = ask_for_stage(
                version,
                to=Stage.PRODUCTION,
                asker=Asker(Way.API, get_member(request)),
                expected_tags=read_if_match(request),
            )
        if change.is_open:
            return answer_change(change, request=request, code=status.HTTP_202_ACCEPTED)
        version.refresh_from_db()
        return with_tag(Response(self.get_serializer(version).data), tag=get_activation_tag())


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


class StagePermissions(ChangePermissions):
    """Those of model versions, for requests to change their stage."""

    def get_required_permissions(self, method: str, model_cls: Any) -> list[str]:
        """Return the permissions that the method needs."""
        return super().get_required_permissions(method, ModelVersion)


class StageChangeView(ModelView):
    """Requests to change a stage."""

    queryset = StageChange.objects.select_related("model_version", "requested_by", "decided_by", "replaced")
    serializer_class = StageChangeSerializer
    permission_classes = [StagePermissions]


class ModelVersionStageChangesView(StageChangeView):
    """The request to change a version's stage."""

    @extend_schema(
        parameters=[VERSION_ID, LOCATION],
        request=StageRequestSerializer,
        responses={
            201: StageChangeSerializer,
            202: StageChangeSerializer,
            **problems(400, 401, 403, 404, 409, 412, 415, 429),
        },
    )
    def post(self, request: Request, pk: int) -> Response:
        """Ask for a change of stage: 201 where it is done at once, 202 where another person has to approve it.

        409 while a request for the version is open, for a stage that it cannot come to, and where the gate is not met
        and nothing is forced.
        """
        version = get_object_or_404(ModelVersion, pk=pk)
        form = StageRequestSerializer(data=request.data)
        form.is_valid(raise_exception=True)
        with refusals_as_problems():
            change = ask_for_stage(version, asker=Asker(Way.API, get_member(request)), **form.validated_data)
        return answer_change(
            change, request=request, code=status.HTTP_202_ACCEPTED if change.is_open else status.HTTP_201_CREATED
        )


class RollbackView(StageChangeView):
    """The way back."""

    @extend_schema(
        parameters=[LOCATION],
        request=RollbackSerializer,
        responses={201: StageChangeSerializer, **problems(400, 401, 403, 409, 412, 415, 429)},
    )
    def post(self, request: Request) -> Response:
        """Go back to the version that the one in production replaced. It takes one person and a reason.

        409 where it is not recorded what was replaced.
        """
        form = RollbackSerializer(data=request.data)
        form.is_valid(raise_exception=True)
        with refusals_as_problems():
            change = roll_back(asker=Asker(Way.API, get_member(request)), **form.validated_data)
        return answer_change(change, request=request, code=status.HTTP_201_CREATED)


class StageChangeListView(PagedListView):
    """Who asked for which stage, newest first, and what became of it."""

    queryset = StageChangeView.queryset
    serializer_class = StageChangeSerializer
    permission_classes = [StagePermissions]
    query_class = StageChangeQuery

    def filter_queryset(self, queryset: QuerySet[Any, Any]) -> QuerySet[Any, Any]:
        """Return the requests that the query asks for."""
        return queryset.filter(**self.query.get_filters())

    @extend_schema(parameters=[StageChangeQuery], responses={200: StageChangeSerializer(many=True), **PROBLEMS})
    def get(self, request: Request, *args: Any, **kwargs: Any) -> Response:
        """Return the requests to change a stage, and what became of them."""
        return super().get(request, *args, **kwargs)


class StageChangeDetailView(StageChangeView):
    """One request."""

    @extend_schema(parameters=[CHANGE_ID, CHANGE_ETAG], responses={200: StageChangeSerializer, **PROBLEMS})
    def get(self, request: Request, pk: int) -> Response:
        """Answer with the request; its ETag is what a decision needs."""
        return answer_change(get_object_or_404(self.get_queryset(), pk=pk), request=request)


class DecisionView(StageChangeView):
    """What a decision has in common: it is about a request as the caller saw it."""

    form_class: type[DecisionSerializer] = DecisionSerializer
    decide: Callable[..., StageChange]

    def answer(self, request: Request, pk: int) -> Response:
        """Decide, and answer with the request."""
        change = get_object_or_404(self.get_queryset(), pk=pk)
        form = self.form_class(data=request.data)
        form.is_valid(raise_exception=True)
        expected = read_if_match(request, of="the request")
        with refusals_as_problems():
            change = type(self).decide(change, user=get_member(request), expected_tags=expected, **form.validated_data)
        return answer_change(self.get_queryset().get(pk=change.pk), request=request)


DECISION: dict[str, Any] = {
    "parameters": [CHANGE_ID, CHANGE_IF_MATCH, CHANGE_ETAG],
    "request": DecisionSerializer,
    "responses": {200: StageChangeSerializer, **problems(400, 401, 403, 404, 409, 412, 415, 428, 429)},
}


class ApprovalView(DecisionView):
    """A yes."""

    form_class = ApprovalSerializer
    decide = staticmethod(approve_stage_change)

    @extend_schema(**DECISION | {"request": ApprovalSerializer})
    def post(self, request: Request, pk: int) -> Response:
        """Approve a request of another person, and do what it asks for.

        412 where it is not what was seen: by another If-Match nothing changes; where another version came into
        production, or the files are other ones, the request is expired, and a 409 from then on.
        """
        return self.answer(request, pk)


class RejectionView(DecisionView):
    """A no."""

    decide = staticmethod(reject_stage_change)

    @extend_schema(**DECISION)
    def post(self, request: Request, pk: int) -> Response:
        """Reject a request; the version stays what it is."""
        return self.answer(request, pk)


class WithdrawalView(DecisionView):
    """A second thought."""

    decide = staticmethod(withdraw_stage_change)

    @extend_schema(**DECISION)
    def post(self, request: Request, pk: int) -> Response:
        """Take back a request of your own."""
        return self.answer(request, pk)


@contextmanager
def refusals_as_problems() -> Iterator[None]:
    """Answer what the service refuses by the status that says whose turn it is."""
    try:
        yield
    except StaleActivationError as error:
        raise PreconditionFailedError(str(error)) from error
    except ArtefactError as error:
        raise ConflictError(f"Expected a version that can be loaded: {error.reason}.") from error
    except MissingReasonError as error:
        raise serializers.ValidationError({error.field: [str(error)]}) from error
    except OwnRequestError as error:
        raise PermissionDenied(str(error)) from error
    except StageError as error:
        raise ConflictError(str(error)) from error


def read_if_match(request: Request, *, of: str | None = None) -> list[str] | None:
    """Return the tags of If-Match, None for any; 428 without it, which says whose ETag it is."""
    if "If-Match" not in request.headers:
        raise PreconditionRequiredError(of and f"Expected the header If-Match with the ETag of {of}.")
    given = parse_etags(request.headers["If-Match"])
    # A weak tag is as good: it stands for a decision, and compression on the way makes it weak.
    return None if given == ["*"] else [tag.removeprefix("W/").strip('"') for tag in given]


def answer_change(change: StageChange, *, request: Request, code: int = status.HTTP_200_OK) -> Response:
    """Return the request with its ETag, and with its address where it is new."""
    response = with_tag(Response(StageChangeSerializer(change).data, status=code), tag=change.tag)
    if code != status.HTTP_200_OK:
        response.headers["Location"] = reverse("api-stage-change-detail", args=[change.pk], request=request)
    return response


def with_tag(response: Response, *, tag: str) -> Response:
    """Return the response with this ETag."""
    response.headers["ETag"] = f'"{tag}"'
    return response

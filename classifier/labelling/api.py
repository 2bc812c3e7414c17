"""Labelling runs and the error queue over HTTP: start, follow and cancel a run; retry and ignore an error."""

from typing import Any

from django.db.models import QuerySet
from django.shortcuts import get_object_or_404
from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from classifier.labelling.errors import ignore_entries, keep_entries, retry_errors
from classifier.labelling.runs import cancel_labelling_run
from classifier.labelling.selectors import (
    LATEST_FAILURE_FIRST,
    SUSPECTED,
    list_errors,
    list_suspects,
    with_suspects_places,
)
from classifier.labelling.serializers import ErrorSerializer, LabellingRunRequestSerializer, LabellingRunSerializer
from classifier.labelling.starting import IdempotencyKeyError, ShadowError, start_labelling_run
from classifier.models import LabellingRun, LabelTask, SuspectedPicture
from classifier.registry.selectors import NoActiveModelVersionError
from classifier.runs.api import RunCancelView, RunDetailView, RunView
from config.web.model_views import ModelView, PagedListView
from config.web.permissions import ChangePermissions, get_member
from config.web.problems import ConflictError, UnprocessableRequestError
from config.web.queries import IdField, PageQuery
from config.web.responses import (
    IDEMPOTENCY_KEY,
    LOCATION,
    PROBLEMS,
    RUN_ID,
    build_accepted,
    problems,
    read_idempotency_key,
)


class LabellingRunView(RunView):
    """Labelling runs."""

    queryset = LabellingRun.objects.select_related("model_version")
    serializer_class = LabellingRunSerializer


class LabellingRunListView(LabellingRunView):
    """Start labelling runs."""

    @extend_schema(
        parameters=[IDEMPOTENCY_KEY, LOCATION],
        request=LabellingRunRequestSerializer,
        responses={202: LabellingRunSerializer, **problems(400, 401, 403, 409, 415, 422, 429)},
    )
    def post(self, request: Request) -> Response:
        """Start a run over the pictures that the model version in production has not labelled yet.

        With the purpose shadow a run of another version by which no label moves; when it is done the version's impact
        says what would. 409 where that version is in production.
        """
        form = LabellingRunRequestSerializer(data=request.data)
        form.is_valid(raise_exception=True)
        key = read_idempotency_key(request)
        try:
            run = start_labelling_run(user=get_member(request), idempotency_key=key, **form.validated_data)
        except (NoActiveModelVersionError, ShadowError) as error:
            raise ConflictError(str(error)) from error
        except IdempotencyKeyError as error:
            raise UnprocessableRequestError(str(error)) from error
        return build_accepted(
            self.get_serializer(self.get_queryset().get(pk=run.pk)).data,
            request=request,
            name="api-labelling-run-detail",
        )


@extend_schema(parameters=[RUN_ID], responses={200: LabellingRunSerializer, **PROBLEMS})
class LabellingRunDetailView(LabellingRunView, RunDetailView):
    """One labelling run."""


@extend_schema(
    parameters=[RUN_ID], request=None, responses={200: LabellingRunSerializer, **problems(401, 403, 404, 409, 429)}
)
class LabellingRunCancelView(LabellingRunView, RunCancelView):
    """The end of one labelling run before its time."""

    cancel_run = staticmethod(cancel_labelling_run)


ERROR_ID = OpenApiParameter("id", int, OpenApiParameter.PATH)
RESPONSES: dict[Any, Any] = {200: ErrorSerializer, **problems(401, 403, 404, 409, 429)}


State = LabelTask.State
ERROR_STATES = [
    *((state.value, str(state.label)) for state in (State.RETRY, State.FAILED, State.IGNORED)),
    (SUSPECTED, "waits for an answer"),
]


class ErrorListQuery(PageQuery):
    """The filters and the page of the error queue."""

    code = serializers.CharField(
        source="error_code", max_length=32, required=False, help_text="Why it failed, such as timeout."
    )
    state = serializers.ChoiceField(
        ERROR_STATES,
        required=False,
        help_text="retry: waits for its next try; failed: given up; ignored: by a person; "
        "suspected: may be a placeholder.",
    )
    run = IdField(required=False, help_text="The labelling run that tried.")
    model_version = IdField(required=False, help_text="The model version that was to label.")
    image = IdField(required=False, help_text="The image.")

    def list_errors(self) -> QuerySet[LabelTask]:
        """Return the part of the error queue that a valid query asks for."""
        return list_errors(**self.get_filters())

    def list_suspects(self) -> QuerySet[SuspectedPicture]:
        """Return the suspected pictures that a valid query asks for."""
        return list_suspects(**self.get_filters())


@extend_schema(parameters=[ErrorListQuery], responses={200: ErrorSerializer(many=True), **problems(400, 401, 403, 404)})
class ErrorListView(PagedListView):
    """Pictures that could not be labelled, or may be placeholders, the latest first. It is never said how many."""

    queryset = LabelTask.objects.none()
    query_class = ErrorListQuery
    serializer_class = ErrorSerializer
    ordering = LATEST_FAILURE_FIRST

    def filter_queryset(self, queryset: QuerySet[Any, Any]) -> QuerySet[Any, Any]:
        """Return the part of the error queue that the query asks for."""
        return self.query.list_errors()

    def list_beside(self) -> list[QuerySet[Any]]:
        """Return the suspected pictures that the query asks for."""
        return [self.query.list_suspects()]


class ErrorView(ModelView):
    """One entry of the error queue: a picture that failed, or a suspected one."""

    queryset = LabelTask.objects.none()
    permission_classes = [ChangePermissions]
    serializer_class = ErrorSerializer

    def find(self, pk: int) -> LabelTask | SuspectedPicture:
        """Return the task with image and version, or the suspected picture; not found when there is none."""
        if pk < 0:
            return get_object_or_404(with_suspects_places(SuspectedPicture.objects.all()), pk=-pk)
        return get_object_or_404(LabelTask.objects.select_related("image", "model_version"), pk=pk)

    def answer(self, pk: int, *, changed: bool, expected: str = "a task in the error queue") -> Response:
        """Return the entry as it is now; a conflict when the call did not apply to it."""
        entry = self.get_serializer(self.find(pk)).data
        if not changed:
            raise ConflictError(f"Expected {expected}; it is {entry['state']}.")
        return Response(entry)


class ErrorRetryView(ErrorView):
    """Another try of one picture."""

    @extend_schema(parameters=[ERROR_ID], request=None, responses=RESPONSES)
    def post(self, request: Request, pk: int) -> Response:
        """Try the picture again, now and as often as a new one. 409 when it did not fail."""
        self.find(pk)
        return self.answer(pk, changed=bool(retry_errors([pk])))


class ErrorIgnoreView(ErrorView):
    """The end of all tries of one picture, or of the question whether it is a placeholder."""

    @extend_schema(parameters=[ERROR_ID], request=None, responses=RESPONSES)
    def post(self, request: Request, pk: int) -> Response:
        """Leave the picture alone until somebody retries it; a suspected one for good. Ignoring twice is no error."""
        entry = self.find(pk)
        changed = bool(ignore_entries([pk], user=get_member(request)))
        changed |= isinstance(entry, LabelTask) and entry.state == LabelTask.State.IGNORED
        return self.answer(pk, changed=changed)


class ErrorPictureView(ErrorView):
    """The answer that a suspected picture is a picture."""

    @extend_schema(parameters=[ERROR_ID], request=None, responses=RESPONSES)
    def post(self, request: Request, pk: int) -> Response:
        """Let a suspected picture be labelled as any other. 409 for one that is ignored; twice is no error."""
        self.find(pk)
        changed = bool(keep_entries([pk], user=get_member(request)))
        return self.answer(pk, changed=changed, expected="a suspected picture")

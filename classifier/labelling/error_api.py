"""The error queue over HTTP: what failed, and what is to become of it."""

from typing import Any

from django.db.models import QuerySet
from django.shortcuts import get_object_or_404
from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework.generics import GenericAPIView, ListAPIView
from rest_framework.request import Request
from rest_framework.response import Response

from classifier.labelling.errors import ignore_errors, retry_errors
from classifier.labelling.query import ErrorListQuery
from classifier.labelling.selectors import LATEST_FAILURE_FIRST, list_errors
from classifier.labelling.serializers import ErrorSerializer
from classifier.models import LabelTask
from config.web.pagination import KeysetPagination
from config.web.permissions import ChangePermissions, ModelPermissions, WriteThrottle
from config.web.problems import ConflictError
from config.web.queries import CheckedView
from config.web.responses import problems

ERROR_ID = OpenApiParameter("id", int, OpenApiParameter.PATH)
RESPONSES: dict[Any, Any] = {200: ErrorSerializer, **problems(401, 403, 404, 409, 429)}


@extend_schema(parameters=[ErrorListQuery], responses={200: ErrorSerializer(many=True), **problems(400, 401, 403, 404)})
class ErrorListView(CheckedView, ListAPIView):
    """Pictures that could not be labelled, the latest failure first. A list never says how many there are."""

    queryset = LabelTask.objects.none()
    permission_classes = [ModelPermissions]
    query_class = ErrorListQuery
    serializer_class = ErrorSerializer
    pagination_class = KeysetPagination
    filter_backends: list[Any] = []
    ordering = LATEST_FAILURE_FIRST

    def filter_queryset(self, queryset: QuerySet[Any, Any]) -> QuerySet[Any, Any]:
        """Return the part of the error queue that the query asks for."""
        self.page_size, self.cursor = self.query.get_page_size(), self.query.get_cursor()
        return list_errors(self.query.get_criteria())


class ErrorView(CheckedView, GenericAPIView):
    """One picture in the error queue."""

    queryset = LabelTask.objects.none()
    permission_classes = [ChangePermissions]
    throttle_classes = [WriteThrottle]
    throttle_scope = "writes"
    serializer_class = ErrorSerializer

    def find(self, pk: int) -> LabelTask:
        """Return the task with image and version; not found when there is none."""
        return get_object_or_404(LabelTask.objects.select_related("image", "model_version"), pk=pk)

    def answer(self, task: LabelTask, *, changed: bool) -> Response:
        """Return the task as it is now; a conflict when the call did not apply to it."""
        task.refresh_from_db()
        if not changed:
            raise ConflictError(f"Expected a task in the error queue; it is {task.state}.")
        return Response(self.get_serializer(task).data)


class ErrorRetryView(ErrorView):
    """Another try of one picture."""

    @extend_schema(parameters=[ERROR_ID], request=None, responses=RESPONSES)
    def post(self, request: Request, pk: int) -> Response:
        """Try the picture again, now and as often as a new one. 409 when it is not in the error queue."""
        task = self.find(pk)
        return self.answer(task, changed=bool(retry_errors([task.pk])))


class ErrorIgnoreView(ErrorView):
    """The end of all tries of one picture."""

    @extend_schema(parameters=[ERROR_ID], request=None, responses=RESPONSES)
    def post(self, request: Request, pk: int) -> Response:
        """Leave the picture alone until somebody retries it. Ignoring twice is no error."""
        task = self.find(pk)
        changed = bool(ignore_errors([task.pk])) or task.state == LabelTask.State.IGNORED
        return self.answer(task, changed=changed)

"""What the calls of all runs share: their JSON, and that one is followed and cancelled."""

from collections.abc import Callable
from typing import Any

from django.shortcuts import get_object_or_404
from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from classifier.models import Run, RunState
from classifier.runs.workers import QueueHealth, find_queue_health
from config.web.model_views import ModelView
from config.web.permissions import ChangePermissions
from config.web.problems import ConflictError

#: Fields of every run; `progress` and what was asked for are each kind's own.
RUN_FIELDS = ["id", "state", "cancel_requested", "error", "created_at", "started_at", "finished_at", "worker"]


class QueueHealthSerializer(serializers.Serializer[QueueHealth]):
    """Whether somebody works on a queue."""

    queue = serializers.CharField()
    seen_at = serializers.DateTimeField(allow_null=True, help_text="When a message last came through. Null: never.")
    missing = serializers.BooleanField(
        source="stale", help_text="Whether no worker was seen for so long that an open run waits for one."
    )


class RunSerializer(serializers.ModelSerializer[Any]):
    """A run: its state, when it was asked for, begun and ended, what went wrong, and whether it has a worker."""

    worker = serializers.SerializerMethodField()

    class Meta:
        fields = RUN_FIELDS

    @extend_schema_field(QueueHealthSerializer)
    def get_worker(self, run: Run) -> dict[str, Any]:
        """Return the health of the run's queue."""
        return QueueHealthSerializer(find_queue_health(run.queue)).data


class RunView(ModelView):
    """Runs of one kind."""

    throttle_scope = "runs"


class RunDetailView(RunView):
    """One run."""

    def get(self, request: Request, pk: int) -> Response:
        """Answer with the run and how far it is."""
        return Response(self.get_serializer(get_object_or_404(self.get_queryset(), pk=pk)).data)


class RunCancelView(RunView):
    """The end of one run before its time."""

    permission_classes = [ChangePermissions]

    # Cancels the run; returns False if it had ended.
    cancel_run: Callable[[Any], bool]

    def post(self, request: Request, pk: int) -> Response:
        """Cancel the run; what it has done stays. Cancelling twice is no error."""
        run = get_object_or_404(self.get_queryset(), pk=pk)
        cancelled = self.cancel_run(run)
        run.refresh_from_db()
        if not cancelled and run.state != RunState.CANCELLED:
            raise ConflictError(f"Expected a run that has not ended; it is {run.state}.")
        return Response(self.get_serializer(run).data)

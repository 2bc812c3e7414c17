"""Trainings over HTTP, for those who may see and start them."""

from django.shortcuts import get_object_or_404
from drf_spectacular.utils import extend_schema
from rest_framework.generics import GenericAPIView
from rest_framework.request import Request
from rest_framework.response import Response

from classifier.models import TrainingRun
from classifier.training.runs import cancel_training_run
from classifier.training.serializers import TrainingRunRequestSerializer, TrainingRunSerializer
from classifier.training.starting import TrainingOpenError, start_training_run
from config.web.permissions import ChangePermissions, ModelPermissions, WriteThrottle
from config.web.problems import ConflictError
from config.web.queries import CheckedView
from config.web.responses import LOCATION, PROBLEMS, RUN_ID, build_accepted, get_member, problems


class TrainingRunView(CheckedView, GenericAPIView):
    """Training runs."""

    queryset = TrainingRun.objects.all()
    permission_classes = [ModelPermissions]
    throttle_classes = [WriteThrottle]
    throttle_scope = "runs"
    serializer_class = TrainingRunSerializer


class TrainingRunListView(TrainingRunView):
    """Start training runs."""

    @extend_schema(
        parameters=[LOCATION],
        request=TrainingRunRequestSerializer,
        responses={202: TrainingRunSerializer, **problems(400, 401, 403, 409, 415, 429)},
    )
    def post(self, request: Request) -> Response:
        """Queue a training for a worker; its result is a candidate version. Refused while another one is open."""
        form = TrainingRunRequestSerializer(data=request.data)
        form.is_valid(raise_exception=True)
        try:
            run = start_training_run(requested_by=get_member(request), exclusive=True, **form.validated_data)
        except TrainingOpenError as error:
            raise ConflictError(str(error)) from error
        return build_accepted(self.get_serializer(run).data, request=request, name="api-training-run-detail")


class TrainingRunDetailView(TrainingRunView):
    """One training run."""

    @extend_schema(parameters=[RUN_ID], responses={200: TrainingRunSerializer, **PROBLEMS})
    def get(self, request: Request, pk: int) -> Response:
        """Answer with the run, its phase and the figures of each epoch so far."""
        return Response(self.get_serializer(get_object_or_404(self.get_queryset(), pk=pk)).data)


class TrainingRunCancelView(TrainingRunView):
    """The end of one training run before its time."""

    permission_classes = [ChangePermissions]

    @extend_schema(
        parameters=[RUN_ID], request=None, responses={200: TrainingRunSerializer, **problems(401, 403, 404, 409, 429)}
    )
    def post(self, request: Request, pk: int) -> Response:
        """Cancel a queued run at once and a running one at its next step. Cancelling twice is no error."""
        run = get_object_or_404(self.get_queryset(), pk=pk)
        cancelled = cancel_training_run(run)
        run.refresh_from_db()
        if not cancelled and run.state != TrainingRun.State.CANCELLED:
            raise ConflictError(f"Expected a run that has not ended; it is {run.state}.")
        return Response(self.get_serializer(run).data)

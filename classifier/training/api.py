"""Trainings over HTTP, for those who may see and start them."""

from django.shortcuts import get_object_or_404
from drf_spectacular.utils import extend_schema
from rest_framework.request import Request
from rest_framework.response import Response

from classifier.models import TrainingRun
from classifier.runs.api import RunCancelView, RunDetailView, RunView
from classifier.training.runs import cancel_training_run
from classifier.training.serializers import TrainingRunRequestSerializer, TrainingRunSerializer
from classifier.training.starting import TrainingOpenError, start_training_run
from classifier.training.waiting import train_anyway
from config.web.permissions import ChangePermissions, get_member
from config.web.problems import ConflictError
from config.web.responses import LOCATION, PROBLEMS, RUN_ID, build_accepted, problems


class TrainingRunView(RunView):
    """Training runs."""

    queryset = TrainingRun.objects.all()
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


@extend_schema(parameters=[RUN_ID], responses={200: TrainingRunSerializer, **PROBLEMS})
class TrainingRunDetailView(TrainingRunView, RunDetailView):
    """One training run."""


@extend_schema(
    parameters=[RUN_ID], request=None, responses={200: TrainingRunSerializer, **problems(401, 403, 404, 409, 429)}
)
class TrainingRunCancelView(TrainingRunView, RunCancelView):
    """The end of one training run before its time."""

    cancel_run = staticmethod(cancel_training_run)


class TrainingRunTrainView(TrainingRunView):
    """The end of a training's wait for answers."""

    permission_classes = [ChangePermissions]

    @extend_schema(
        parameters=[RUN_ID], request=None, responses={200: TrainingRunSerializer, **problems(401, 403, 404, 409, 429)}
    )
    def post(self, request: Request, pk: int) -> Response:
        """Train without the answers that the run waits for. 409 for one that has ended; twice is no error."""
        run = get_object_or_404(self.get_queryset(), pk=pk)
        train_anyway(run)
        run.refresh_from_db()
        if not run.is_open:
            raise ConflictError(f"Expected a run that has not ended; it is {run.state}.")
        return Response(self.get_serializer(run).data)

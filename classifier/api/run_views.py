"""Labelling and training runs over HTTP: start one, follow it, cancel it."""

from typing import Any

from django.shortcuts import get_object_or_404
from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework import status
from rest_framework.exceptions import ValidationError
from rest_framework.generics import GenericAPIView
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.reverse import reverse

from catalog.api.query import CheckedView
from classifier.api.permissions import ChangePermissions, ModelPermissions, WriteThrottle
from classifier.api.responses import PROBLEMS, get_member, problems
from classifier.api.serializers import (
    LabellingRunRequestSerializer,
    LabellingRunSerializer,
    TrainingRunRequestSerializer,
    TrainingRunSerializer,
)
from classifier.dispatch import IdempotencyKeyError, TrainingOpenError, start_labelling_run, start_training_run
from classifier.models import LabellingRun, TrainingRun
from classifier.run_steps import cancel_labelling_run
from classifier.selectors import NoActiveModelVersionError
from classifier.training_runs import cancel_training_run
from config.problems import ConflictError, UnprocessableRequestError

RUN_ID = OpenApiParameter("id", int, OpenApiParameter.PATH)
LOCATION = OpenApiParameter("Location", str, OpenApiParameter.HEADER, response=[202], description="The run's address.")
IDEMPOTENCY_KEY = OpenApiParameter(
    "Idempotency-Key",
    str,
    OpenApiParameter.HEADER,
    description="1 to 255 characters. The same key with the same body starts one run, however often it is sent.",
)
MAXIMUM_KEY_LENGTH = 255


class LabellingRunView(CheckedView, GenericAPIView):
    """Labelling runs."""

    queryset = LabellingRun.objects.select_related("model_version")
    permission_classes = [ModelPermissions]
    throttle_classes = [WriteThrottle]
    throttle_scope = "runs"
    serializer_class = LabellingRunSerializer


class LabellingRunListView(LabellingRunView):
    """Start labelling runs."""

    @extend_schema(
        parameters=[IDEMPOTENCY_KEY, LOCATION],
        request=LabellingRunRequestSerializer,
        responses={202: LabellingRunSerializer, **problems(400, 401, 403, 409, 415, 422, 429)},
    )
    def post(self, request: Request) -> Response:
        """Start a run over the pictures that the active model version has not labelled yet."""
        form = LabellingRunRequestSerializer(data=request.data)
        form.is_valid(raise_exception=True)
        key = request.headers.get("Idempotency-Key")
        if key is not None and not (0 < len(key) <= MAXIMUM_KEY_LENGTH and key.isascii() and key.isprintable()):
            message = f"Expected 1 to {MAXIMUM_KEY_LENGTH} printable ASCII characters in the header."
            raise ValidationError({"Idempotency-Key": [message]})
        try:
            run = start_labelling_run(user=get_member(request), idempotency_key=key, **form.validated_data)
        except NoActiveModelVersionError as error:
            raise ConflictError(str(error)) from error
        except IdempotencyKeyError as error:
            raise UnprocessableRequestError(str(error)) from error
        run = self.get_queryset().get(pk=run.pk)
        return build_accepted(self.get_serializer(run).data, request=request, name="api-labelling-run-detail")


class LabellingRunDetailView(LabellingRunView):
    """One labelling run."""

    @extend_schema(parameters=[RUN_ID], responses={200: LabellingRunSerializer, **PROBLEMS})
    def get(self, request: Request, pk: int) -> Response:
        """Answer with the run and the number of its tasks in each state."""
        return Response(self.get_serializer(get_object_or_404(self.get_queryset(), pk=pk)).data)


class LabellingRunCancelView(LabellingRunView):
    """The end of one labelling run before its time."""

    permission_classes = [ChangePermissions]

    @extend_schema(
        parameters=[RUN_ID], request=None, responses={200: LabellingRunSerializer, **problems(401, 403, 404, 409, 429)}
    )
    def post(self, request: Request, pk: int) -> Response:
        """Cancel the run: pictures that nobody works on yet stay unlabelled. Cancelling twice is no error."""
        run = get_object_or_404(self.get_queryset(), pk=pk)
        cancelled = cancel_labelling_run(run)
        run.refresh_from_db()
        if not cancelled and run.state != LabellingRun.State.CANCELLED:
            raise ConflictError(f"Expected a run that has not ended; it is {run.state}.")
        return Response(self.get_serializer(run).data)


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
            run = start_training_run(user=get_member(request), exclusive=True, **form.validated_data)
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


def build_accepted(data: dict[str, Any], *, request: Request, name: str) -> Response:
    """Return the 202 for a run that was started, with its address."""
    address = reverse(name, args=[data["id"]], request=request)
    return Response(data, status=status.HTTP_202_ACCEPTED, headers={"Location": address})

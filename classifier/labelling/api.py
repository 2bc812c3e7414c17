"""Labelling and training runs over HTTP: start one, follow it, cancel it."""

from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework.exceptions import ValidationError
from rest_framework.request import Request
from rest_framework.response import Response

from classifier.labelling.reports import forget_run_report
from classifier.labelling.serializers import LabellingRunRequestSerializer, LabellingRunSerializer
from classifier.labelling.starting import IdempotencyKeyError, start_labelling_run
from classifier.labelling.steps import cancel_labelling_run
from classifier.models import LabellingRun
from classifier.registry.selectors import NoActiveModelVersionError
from classifier.runs.api import RunCancelView, RunDetailView, RunView
from config.web.problems import ConflictError, UnprocessableRequestError
from config.web.responses import LOCATION, PROBLEMS, RUN_ID, build_accepted, get_member, problems

IDEMPOTENCY_KEY = OpenApiParameter(
    "Idempotency-Key",
    str,
    OpenApiParameter.HEADER,
    description="1 to 255 characters. The same key with the same body starts one run, however often it is sent.",
)
MAXIMUM_KEY_LENGTH = 255
QUERYSET = LabellingRun.objects.select_related("model_version")


class LabellingRunListView(RunView):
    """Start labelling runs."""

    queryset = QUERYSET
    serializer_class = LabellingRunSerializer

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
        run = QUERYSET.get(pk=run.pk)
        return build_accepted(self.get_serializer(run).data, request=request, name="api-labelling-run-detail")


@extend_schema(parameters=[RUN_ID], responses={200: LabellingRunSerializer, **PROBLEMS})
class LabellingRunDetailView(RunDetailView):
    """One labelling run."""

    queryset = QUERYSET
    serializer_class = LabellingRunSerializer


@extend_schema(
    parameters=[RUN_ID], request=None, responses={200: LabellingRunSerializer, **problems(401, 403, 404, 409, 429)}
)
class LabellingRunCancelView(RunCancelView):
    """The end of one labelling run before its time."""

    queryset = QUERYSET
    serializer_class = LabellingRunSerializer

    def cancel_run(self, run: LabellingRun) -> bool:
        """Cancel the run; return False if it had ended."""
        cancelled = cancel_labelling_run(run)
        forget_run_report(run)
        return cancelled

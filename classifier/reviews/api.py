"""Reviews over HTTP: given one by one or as a list, read, withdrawn; queues, and the tiles that they lend."""

from typing import Any

from django.db.models import QuerySet
from django.shortcuts import get_object_or_404
from drf_spectacular.utils import OpenApiParameter, PolymorphicProxySerializer, extend_schema
from rest_framework import serializers, status
from rest_framework.exceptions import PermissionDenied, ValidationError
from rest_framework.request import Request
from rest_framework.response import Response

from classifier.models import QueueName, Review, ReviewBatch, ReviewRun
from classifier.reviews.batches import LeaseError, list_tiles, renew_batch, start_batch
from classifier.reviews.idempotency import OtherCallError, answer_once
from classifier.reviews.queues import QUEUES, find_queue
from classifier.reviews.recording import Outcome, Result, Submission, submit_reviews
from classifier.reviews.runs import cancel_review_run
from classifier.reviews.serializers import (
    MAXIMUM_REVIEWS,
    QueueSerializer,
    ReviewBatchRequestSerializer,
    ReviewBatchSerializer,
    ReviewResultsSerializer,
    ReviewRunSerializer,
    ReviewSerializer,
)
from classifier.reviews.services import may_withdraw, withdraw_reviews
from classifier.reviews.starting import withdraw_review_run
from classifier.runs.api import RunCancelView, RunDetailView, RunView
from config.web.model_views import ModelView, PagedListView
from config.web.permissions import ModelPermissions, WriteThrottle, get_member
from config.web.problems import PROBLEM_MEDIA_TYPE, ConflictError, UnprocessableRequestError, build_problem
from config.web.queries import IdField, NoQuery, PageQuery
from config.web.responses import IDEMPOTENCY_KEY, PROBLEMS, RUN_ID, problems, read_idempotency_key

REVIEW_ID = BATCH_ID = OpenApiParameter("id", int, OpenApiParameter.PATH)


class ReviewListQuery(PageQuery):
    """The filters and the page of the list of reviews."""

    image = IdField(required=False, help_text="The image.")
    reviewer = serializers.CharField(
        max_length=150, required=False, source="reviewer__username", help_text="The name of who gave it."
    )
    queue = serializers.ChoiceField(QueueName.choices, required=False, help_text="The queue that it came from.")
    batch = IdField(required=False, help_text="The batch.")
    run = IdField(required=False, help_text="The run of reviews.")
    withdrawn = serializers.BooleanField(
        required=False,
        allow_null=True,
        source="withdrawn_at__isnull",
        help_text="Whether it was withdrawn; without it both.",
    )
    control = serializers.BooleanField(
        required=False,
        allow_null=True,
        source="control__isnull",
        help_text="Whether it answers a control, and decides nothing; without it both.",
    )

    def get_conditions(self) -> dict[str, Any]:
        """Return what a valid query asks for, as Django's lookups."""
        given = self.get_filters()
        asked = {name: given.pop(name, None) for name in ("withdrawn_at__isnull", "control__isnull")}
        return given | {name: not value for name, value in asked.items() if value is not None}


class ReviewListView(PagedListView):
    """People's labels."""

    queryset = Review.objects.select_related("reviewer")
    serializer_class = ReviewSerializer
    throttle_classes = [WriteThrottle]
    throttle_scope = "writes"

    @property
    def query_class(self) -> type[serializers.Serializer[dict[str, Any]]]:  # type: ignore[override]
        """The filters of the list; a review that is given takes no parameters."""
        return ReviewListQuery if self.request.method in ("GET", "HEAD") else NoQuery

    def filter_queryset(self, queryset: QuerySet[Any, Any]) -> QuerySet[Any, Any]:
        """Return the reviews that the query asks for."""
        return queryset.filter(**self.query.get_conditions())

    @extend_schema(
        parameters=[ReviewListQuery], responses={200: ReviewSerializer(many=True), **problems(400, 401, 403, 404)}
    )
    def get(self, request: Request, *args: Any, **kwargs: Any) -> Response:
        """Return people's labels, the newest first, withdrawn ones too."""
        return super().get(request, *args, **kwargs)

    @extend_schema(
        parameters=[IDEMPOTENCY_KEY],
        request=PolymorphicProxySerializer(
            component_name="Reviews",
            serializers=[ReviewSerializer, ReviewSerializer(many=True)],
            resource_type_field_name=None,
            many=False,
        ),
        responses={
            200: ReviewResultsSerializer,
            201: ReviewSerializer,
            **problems(400, 401, 403, 409, 415, 422, 429),
        },
    )
    def post(self, request: Request) -> Response:
        """Record your label for an image, or a list of them. It wins over every machine's.

        Over another person's it wins only where `seen_review` names that one: otherwise nothing is recorded, and the
        answer has the label that stands. In a list each has a result of its own, in its order.
        """
        data: Any = request.data
        answer = self._answer_list if isinstance(data, list) else self._answer_one
        try:
            code, data = answer_once(
                user=get_member(request),
                key=read_idempotency_key(request),
                body=data,
                make=lambda: answer(data),
            )
        except OtherCallError as error:
            raise UnprocessableRequestError(str(error)) from error
        return Response(data, status=code, content_type=PROBLEM_MEDIA_TYPE if code >= 400 else None)

    def _answer_one(self, data: Any) -> tuple[int, Any]:
        """Record one review; return the status and its JSON, or a problem."""
        form = ReviewSerializer(data=data)
        form.is_valid(raise_exception=True)
        (result,) = submit_reviews([form.get_submission()], reviewer=get_member(self.request))
        if result.review is not None:
            return status.HTTP_201_CREATED, self.get_serializer(result.review).data
        if result.outcome == Outcome.GONE:
            raise ValidationError({"batch" if form.validated_data.get("batch_id") else "image": [result.detail]})
        problem = build_problem(status.HTTP_409_CONFLICT, detail=result.detail)
        standing = self.get_serializer(result.standing).data if result.standing else None
        return status.HTTP_409_CONFLICT, problem | {"outcome": result.outcome, "standing": standing}

    def _answer_list(self, data: list[Any]) -> tuple[int, Any]:
        """Record those of the reviews that can be; return the status and what became of each."""
        if not 0 < len(data) <= MAXIMUM_REVIEWS:
            raise ValidationError([f"Expected 1 to {MAXIMUM_REVIEWS} reviews in one call; received {len(data):,}."])
        read = [_read_submission(entry) for entry in data]
        recorded = iter(
            submit_reviews(
                [entry for entry in read if isinstance(entry, Submission)], reviewer=get_member(self.request)
            )
        )
        results = [next(recorded) if isinstance(entry, Submission) else entry for entry in read]
        return status.HTTP_200_OK, ReviewResultsSerializer({"results": results}).data


class ReviewWithdrawalView(ModelView):
    """The end of a person's label."""

    queryset = Review.objects.select_related("reviewer")
    serializer_class = ReviewSerializer

    @extend_schema(
        parameters=[REVIEW_ID],
        request=None,
        responses={200: ReviewSerializer, **problems(401, 403, 404, 429)},
    )
    def post(self, request: Request, pk: int) -> Response:
        """Withdraw a review: its picture has the label that it would have without it. Twice is no error.

        Your own; those of others by whoever may change reviews.
        """
        review = get_object_or_404(self.get_queryset(), pk=pk)
        if not may_withdraw(review, user=get_member(request)):
            raise PermissionDenied
        withdraw_reviews(Review.objects.filter(pk=pk))
        review.refresh_from_db()
        return Response(ReviewSerializer(review).data)


class ReviewerPermissions(ModelPermissions):
    """The permission to give reviews, for whatever leads to one or came of one."""

    perms_map = {method: ["classifier.add_review"] for method in ModelPermissions.perms_map}


class ReviewRunView(RunView):
    """Runs of reviews."""

    queryset = ReviewRun.objects.select_related("requested_by")
    serializer_class = ReviewRunSerializer
    permission_classes = [ReviewerPermissions]

    def find_own(self, pk: int) -> ReviewRun:
        """Return a run that the caller may end. Raises `PermissionDenied` for somebody else's."""
        run = get_object_or_404(self.get_queryset(), pk=pk)
        if not may_withdraw(run, user=get_member(self.request)):
            raise PermissionDenied
        return run


@extend_schema(parameters=[RUN_ID], responses={200: ReviewRunSerializer, **PROBLEMS})
class ReviewRunDetailView(ReviewRunView, RunDetailView):
    """One run of reviews."""


class ReviewRunCancelView(ReviewRunView, RunCancelView):
    """The end of one run of reviews before its time."""

    cancel_run = staticmethod(cancel_review_run)

    @extend_schema(
        parameters=[RUN_ID], request=None, responses={200: ReviewRunSerializer, **problems(401, 403, 404, 409, 429)}
    )
    def post(self, request: Request, pk: int) -> Response:
        """Cancel a run: what it has labelled stays, the rest gets no label by it. Cancelling twice is no error.

        Your own; those of others by whoever may change reviews.
        """
        return super().post(request, self.find_own(pk).pk)


class ReviewRunWithdrawalView(ReviewRunView):
    """The end of all labels of one run."""

    @extend_schema(
        parameters=[RUN_ID], request=None, responses={200: ReviewRunSerializer, **problems(401, 403, 404, 429)}
    )
    def post(self, request: Request, pk: int) -> Response:
        """Withdraw all labels of a run as one, and cancel it if it goes on. Twice is no error.

        Each picture has the label then that it would have without the run; of many, workers withdraw the last. Your
        own; those of others by whoever may change reviews.
        """
        run = self.find_own(pk)
        withdraw_review_run(run)
        return Response(self.get_serializer(run).data)


class QueueListView(ModelView):
    """The queues of pictures that wait for a person."""

    queryset = Review.objects.none()
    permission_classes = [ReviewerPermissions]
    serializer_class = QueueSerializer

    @extend_schema(responses={200: QueueSerializer(many=True), **problems(401, 403)})
    def get(self, request: Request) -> Response:
        """Return each queue with what it is for and how many wait in it."""
        return Response(self.get_serializer(list(QUEUES.values()), many=True).data)


class ReviewBatchView(ModelView):
    """Tiles that are lent to a reviewer for ten minutes."""

    queryset = Review.objects.none()
    permission_classes = [ReviewerPermissions]
    serializer_class = ReviewBatchSerializer

    def find_own(self, pk: int) -> ReviewBatch:
        """Return a batch of the caller's; others' are not found."""
        return get_object_or_404(ReviewBatch, pk=pk, reviewer=get_member(self.request))

    def show(self, batch: ReviewBatch, *, code: int = status.HTTP_200_OK) -> Response:
        """Return the batch with its tiles."""
        shown = {name: getattr(batch, name) for name in ("id", "queue", "filter", "expires_at")}
        return Response(self.get_serializer(shown | {"tiles": list_tiles(batch)}).data, status=code)


class ReviewBatchListView(ReviewBatchView):
    """The start of a lease."""

    @extend_schema(
        request=ReviewBatchRequestSerializer,
        responses={200: ReviewBatchSerializer, 201: ReviewBatchSerializer, **problems(400, 401, 403, 415, 429)},
    )
    def post(self, request: Request) -> Response:
        """Lend yourself the next tiles of a queue. Nobody else gets them for ten minutes, which every use renews.

        The status is 200, with no id and no tiles, where nothing waits.
        """
        form = ReviewBatchRequestSerializer(data=request.data)
        form.is_valid(raise_exception=True)
        name, parameters = form.validated_data["queue"], form.validated_data.get("filter", {})
        try:
            queue = find_queue(name, parameters)
        except ValidationError as error:
            raise ValidationError({"filter": [str(error.detail)]}) from error
        size = form.validated_data["size"]
        batch = start_batch(get_member(request), queue, size=size)
        if batch is None:
            nothing = {"id": None, "queue": name, "filter": parameters, "expires_at": None, "tiles": []}
            return Response(self.get_serializer(nothing).data)
        return self.show(batch, code=status.HTTP_201_CREATED)


class ReviewBatchDetailView(ReviewBatchView):
    """One lease."""

    @extend_schema(parameters=[BATCH_ID], responses={200: ReviewBatchSerializer, **problems(401, 403, 404)})
    def get(self, request: Request, pk: int) -> Response:
        """Return a batch of yours as it is now."""
        return self.show(self.find_own(pk))


class ReviewBatchRenewalView(ReviewBatchView):
    """The putting off of a lease's end."""

    @extend_schema(
        parameters=[BATCH_ID], request=None, responses={200: ReviewBatchSerializer, **problems(401, 403, 404, 409, 429)}
    )
    def post(self, request: Request, pk: int) -> Response:
        """Renew a lease of yours for ten minutes. 409 when it ended and its tiles went back into the queue."""
        batch = self.find_own(pk)
        try:
            renew_batch(batch)
        except LeaseError as error:
            raise ConflictError(str(error)) from error
        return self.show(batch)


def _read_submission(data: Any) -> Submission | Result:
    """Return the submission that an entry of a list is, or why it is none."""
    form = ReviewSerializer(data=data)
    if form.is_valid():
        return form.get_submission()
    return Result(Outcome.INVALID, "Some of what was sent is not accepted; see errors.", errors=form.errors)

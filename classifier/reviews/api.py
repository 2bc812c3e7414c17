"""Reviews over HTTP."""

from django.shortcuts import get_object_or_404
from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework import serializers, status
from rest_framework.exceptions import PermissionDenied, ValidationError
from rest_framework.request import Request
from rest_framework.response import Response

from catalog.models import Image
from classifier.models import Review
from classifier.reviews.services import ReviewError, record_review, withdraw_reviews
from config.web.model_views import ModelView
from config.web.permissions import get_member
from config.web.responses import problems


class ReviewSerializer(serializers.ModelSerializer[Review]):
    """A person's label for an image."""

    # A number and nothing that could be made one: 1.5 is no image.
    image = serializers.PrimaryKeyRelatedField(queryset=Image.objects.all(), pk_field=serializers.IntegerField())
    reviewer = serializers.CharField(source="reviewer.username", read_only=True)

    class Meta:
        model = Review
        fields = ["id", "image", "group", "garment", "note", "reviewer", "created_at", "withdrawn_at"]
        read_only_fields = ["id", "created_at", "withdrawn_at"]
        extra_kwargs = {"note": {"max_length": 2000}}


class ReviewListView(ModelView):
    """People's labels."""

    queryset = Review.objects.none()
    serializer_class = ReviewSerializer

    @extend_schema(responses={201: ReviewSerializer, **problems(400, 401, 403, 415, 429)})
    def post(self, request: Request) -> Response:
        """Record your label for an image. It wins over every machine's and over every earlier one."""
        form = ReviewSerializer(data=request.data)
        form.is_valid(raise_exception=True)
        image = form.validated_data.pop("image")
        try:
            review = record_review(image, reviewer=get_member(request), **form.validated_data)
        except ReviewError as error:
            raise ValidationError({"garment": [str(error)]}) from error
        return Response(ReviewSerializer(review).data, status=status.HTTP_201_CREATED)


class ReviewWithdrawalView(ModelView):
    """The end of a person's label."""

    queryset = Review.objects.select_related("reviewer")
    serializer_class = ReviewSerializer

    @extend_schema(
        parameters=[OpenApiParameter("id", int, OpenApiParameter.PATH)],
        request=None,
        responses={200: ReviewSerializer, **problems(401, 403, 404, 429)},
    )
    def post(self, request: Request, pk: int) -> Response:
        """Withdraw a review: its picture has the label that it would have without it. Twice is no error.

        Your own; those of others by whoever may change reviews.
        """
        review = get_object_or_404(self.get_queryset(), pk=pk)
        if review.reviewer_id != request.user.pk and not request.user.has_perm("classifier.change_review"):
            raise PermissionDenied
        withdraw_reviews(Review.objects.filter(pk=pk))
        review.refresh_from_db()
        return Response(ReviewSerializer(review).data)

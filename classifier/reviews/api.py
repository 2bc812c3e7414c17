"""Reviews over HTTP."""

from drf_spectacular.utils import extend_schema
from rest_framework import status
from rest_framework.exceptions import ValidationError
from rest_framework.generics import GenericAPIView
from rest_framework.request import Request
from rest_framework.response import Response

from classifier.models import Review
from classifier.reviews.serializers import ReviewSerializer
from classifier.reviews.services import ReviewError, record_review
from config.web.permissions import ModelPermissions, WriteThrottle
from config.web.queries import CheckedView
from config.web.responses import get_member, problems


class ReviewListView(CheckedView, GenericAPIView):
    """People's labels."""

    queryset = Review.objects.none()
    permission_classes = [ModelPermissions]
    throttle_classes = [WriteThrottle]
    throttle_scope = "writes"
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

"""The classifier over HTTP; every call needs a sign-in and its permission."""

from typing import Any

from django.db.models import QuerySet
from django.shortcuts import get_object_or_404
from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework.generics import ListAPIView

from catalog.api.pagination import KeysetPagination
from catalog.api.query import PageQuery, check_parameters
from catalog.models import Image
from catalog.paging import KeysetOrdering
from classifier.api.permissions import ModelPermissions
from classifier.api.serializers import ClassificationSerializer
from classifier.listing import list_image_classifications
from classifier.models import Classification
from config.problems import PROBLEM_MEDIA_TYPE, ProblemSerializer

PROBLEMS = {(status, PROBLEM_MEDIA_TYPE): ProblemSerializer for status in (400, 401, 403, 404)}


@extend_schema(
    parameters=[PageQuery, OpenApiParameter("image_id", int, OpenApiParameter.PATH)],
    responses={200: ClassificationSerializer(many=True), **PROBLEMS},
)
class ImageClassificationListView(ListAPIView):
    """What each model version said of an image, newest first."""

    queryset = Classification.objects.none()
    permission_classes = [ModelPermissions]
    serializer_class = ClassificationSerializer
    pagination_class = KeysetPagination
    filter_backends: list[Any] = []
    ordering = KeysetOrdering("-id", ("pk",), descending=True)

    def get_queryset(self) -> QuerySet[Classification]:
        """Return the image's classifications; not found without such an image."""
        query = check_parameters(PageQuery, self.request.query_params)
        self.page_size, self.cursor = query.get_page_size(), query.get_cursor()
        image = get_object_or_404(Image, pk=self.kwargs["image_id"])
        return list_image_classifications(image.pk)

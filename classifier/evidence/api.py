"""One product in full, what was said of its pictures, the history of labels, and the call that classifies a picture."""

from typing import Any

from django.db.models import QuerySet
from django.http import Http404
from django.shortcuts import get_object_or_404
from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework import serializers
from rest_framework.exceptions import ValidationError
from rest_framework.permissions import AllowAny
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.utils.urls import replace_query_param

from catalog.browse.filters import ProductPastQuery
from catalog.models import Image, Product
from catalog.pictures.formats import MAX_FILE_BYTES
from classifier.evidence.picture_answers import classify_picture
from classifier.evidence.serializers import (
    ClassificationSerializer,
    LabelChangesSerializer,
    PictureAnswerSerializer,
    PictureSerializer,
    ProductDetailSerializer,
)
from classifier.labels.history import (
    LabelThen,
    find_labels_then,
    find_present_label,
    find_provenance,
    find_version_names,
    list_changes,
)
from classifier.labels.reads import get_product_detail
from classifier.ml.artefacts import ArtefactError
from classifier.models import Classification, LabelChange
from classifier.registry.runtime import get_classifier
from classifier.registry.selectors import NoActiveModelVersionError, get_active_model_version
from config.web.bodies import takes_body
from config.web.conditional import ConditionalView
from config.web.model_views import ModelView, PagedListView
from config.web.parsing import FormParser
from config.web.permissions import QueryPermissions, ReadPermissions
from config.web.problems import ConflictError, ServiceUnavailableError
from config.web.queries import DEFAULT_PAGE_SIZE, IdField, PageQuery
from config.web.responses import PROBLEMS, problems


class ProductDetailView(ConditionalView):
    """A product with every image and its label, and every description. Answers carry an ETag."""

    permission_classes = [AllowAny]
    query_class = ProductPastQuery

    @extend_schema(
        parameters=[ProductPastQuery, OpenApiParameter("id", int, OpenApiParameter.PATH)],
        responses={200: ProductDetailSerializer, **problems(400, 404)},
    )
    def get(self, request: Request, pk: int) -> Response:
        """Return a product with every image and its label, every description, and what its label was made of.

        With `as_of` label and provenance are as they were at that time, all else is as it is.
        """
        given = dict(self.query.validated_data)
        at = given.pop("as_of", None)
        try:
            detail = get_product_detail(pk, **given)
        except Product.DoesNotExist as error:
            raise Http404 from error
        if at is None:
            then = find_present_label(detail.product)
        else:
            then = find_labels_then([pk], at).get(pk, LabelThen(detail.label))
        context = {"request": request, "provenance": find_provenance(detail.product, then)}
        if at is not None:
            context["labels"] = {pk: then.summary}
        return Response(ProductDetailSerializer(detail, context=context).data)


MAXIMUM_CHANGES = 1000


class LabelChangeQuery(serializers.Serializer[dict[str, Any]]):
    """Which changes of labels, and from where on."""

    after = IdField(min_value=0, required=False, default=0, help_text="The place of the last change known.")
    product = IdField(required=False, help_text="The product; it may be deleted.")
    page_size = serializers.IntegerField(
        min_value=1,
        max_value=MAXIMUM_CHANGES,
        required=False,
        default=DEFAULT_PAGE_SIZE,
        help_text=f"Default {DEFAULT_PAGE_SIZE}.",
    )


class LabelChangeListView(ModelView):
    """The history of labels as a feed."""

    queryset = LabelChange.objects.none()
    permission_classes = [ReadPermissions]
    query_class = LabelChangeQuery
    serializer_class = LabelChangesSerializer

    @extend_schema(parameters=[LabelChangeQuery], responses={200: LabelChangesSerializer, **problems(400, 401, 403)})
    def get(self, request: Request) -> Response:
        """Return the changes behind a place, the oldest first.

        Whoever goes on from `after` misses none: a change is only shown once no earlier one can appear any more.
        """
        given = self.query.validated_data
        after, size = given["after"], given["page_size"]
        changes = list_changes(after=after, product_id=given.get("product"), count=size + 1)
        shown = changes[:size]
        after = shown[-1].pk if shown else after
        address = replace_query_param(request.build_absolute_uri(), "after", after) if len(changes) > size else None
        names = find_version_names([change.old_version_id for change in shown])
        found = {"next": address, "after": after, "results": shown}
        return Response(self.get_serializer(found, context={"names": names}).data)


# What a form adds to the picture in it: boundaries and the headers of the part.
FORM_BYTES = 16_384


@extend_schema(
    parameters=[PageQuery, OpenApiParameter("image_id", int, OpenApiParameter.PATH)],
    responses={200: ClassificationSerializer(many=True), **PROBLEMS},
)
class ImageClassificationListView(PagedListView):
    """What each model version said of an image, newest first."""

    queryset = Classification.objects.none()
    serializer_class = ClassificationSerializer

    def filter_queryset(self, queryset: QuerySet[Any, Any]) -> QuerySet[Any, Any]:
        """Return the image's classifications; not found without such an image."""
        image = get_object_or_404(Image, pk=self.kwargs["image_id"])
        return Classification.objects.filter(image=image).select_related("model_version")


@takes_body(MAX_FILE_BYTES + FORM_BYTES, expected=f"Expected a picture of at most {MAX_FILE_BYTES:,} bytes.")
class ClassifyView(ModelView):
    """Say which group and garment a picture shows. Nothing is kept of it."""

    queryset = Classification.objects.none()
    permission_classes = [QueryPermissions]
    throttle_scope = "classify"
    parser_classes = [FormParser]
    serializer_class = PictureSerializer

    @extend_schema(
        request=PictureSerializer,
        responses={200: PictureAnswerSerializer(many=True), **problems(400, 401, 403, 409, 413, 415, 429, 503)},
    )
    def post(self, request: Request) -> Response:
        """Say which group and garment a picture shows: a list of one entry, as the command `classify --json` prints it.

        A picture that cannot be read has a code in `error`; a body that is larger than any picture is a 413.
        """
        if len(request.FILES) != 1 or len(request.FILES.getlist("picture")) > 1:
            raise ValidationError({"picture": [f"Expected one file; received {len(request.FILES)}."]})
        form = PictureSerializer(data=request.data)
        form.is_valid(raise_exception=True)
        try:
            classifier = get_classifier(get_active_model_version())
        except NoActiveModelVersionError as error:
            raise ConflictError(str(error)) from error
        except ArtefactError as error:
            raise ServiceUnavailableError(
                f"The model version in production cannot be used here: {error.reason}."
            ) from error
        picture = form.validated_data["picture"]
        answer = classify_picture(picture.name, picture.read(), classifier=classifier)
        return Response(PictureAnswerSerializer([answer.to_json()], many=True).data)

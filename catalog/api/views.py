"""Products over HTTP; anyone may read them."""

from dataclasses import replace
from typing import Any

from django.db.models import QuerySet
from django.http import Http404
from django.utils.decorators import method_decorator
from django.views.decorators.http import conditional_page
from drf_spectacular.utils import OpenApiParameter, extend_schema
from drf_spectacular.views import SpectacularAPIView, SpectacularSwaggerSplitView
from rest_framework import serializers
from rest_framework.generics import ListAPIView
from rest_framework.permissions import AllowAny
from rest_framework.request import Request
from rest_framework.response import Response

from catalog.api.pagination import KeysetPagination
from catalog.api.query import CheckedView, ProductDetailQuery, ProductListQuery
from catalog.api.serializers import ProductDetailSerializer, ProductSerializer
from catalog.models import Product
from catalog.search import TextSearch
from classifier.listing import get_product_detail, get_product_ordering, list_labelled_products
from config.problems import PROBLEM_MEDIA_TYPE, ProblemSerializer
from config.security import API_DOCUMENTATION_POLICY

BAD_REQUEST = {(400, PROBLEM_MEDIA_TYPE): ProblemSerializer}
NOT_FOUND = {(404, PROBLEM_MEDIA_TYPE): ProblemSerializer}


@extend_schema(parameters=[ProductListQuery], responses={200: ProductSerializer(many=True), **BAD_REQUEST, **NOT_FOUND})
class ProductListView(CheckedView, ListAPIView):
    """Products with their first picture, their description in one country and their current label.

    Follow `next` and `previous` for the pages beside this one. A list never says how many products there are. A
    parameter that is not listed here is refused.
    """

    permission_classes = [AllowAny]
    query_class = ProductListQuery
    serializer_class = ProductSerializer
    pagination_class = KeysetPagination
    filter_backends: list[Any] = []

    def get_queryset(self) -> QuerySet[Product]:
        """Return the products that the query asks for."""
        criteria = self.query.get_criteria()
        self.ordering = get_product_ordering(criteria)
        self.page_size = self.query.get_page_size()
        self.cursor = self.query.get_cursor()
        self.search = TextSearch(criteria.search)
        return list_labelled_products(replace(criteria, search=""))


@method_decorator(conditional_page, name="dispatch")
class ProductDetailView(CheckedView):
    """A product with every image and its label, and every description. Answers carry an ETag."""

    permission_classes = [AllowAny]
    query_class = ProductDetailQuery

    @extend_schema(
        parameters=[ProductDetailQuery, OpenApiParameter("id", int, OpenApiParameter.PATH)],
        responses={200: ProductDetailSerializer, **BAD_REQUEST, **NOT_FOUND},
    )
    def get(self, request: Request, pk: int) -> Response:
        """Return the product in full."""
        try:
            detail = get_product_detail(pk, **self.query.validated_data)
        except Product.DoesNotExist as error:
            raise Http404 from error
        return Response(ProductDetailSerializer(detail, context={"request": request}).data)


class ApiSchemaView(CheckedView, SpectacularAPIView):
    """This API as OpenAPI 3, in YAML or JSON by the header Accept."""

    @extend_schema(exclude=True)
    def get(self, request: Request, *args: Any, **kwargs: Any) -> Response:
        """Return the schema."""
        response: Response = super().get(request, *args, **kwargs)
        return response


class ApiDocumentationQuery(serializers.Serializer[dict[str, Any]]):
    """What the page asks for its own script with."""

    script = serializers.CharField(required=False, allow_blank=True)


class ApiDocumentationView(CheckedView, SpectacularSwaggerSplitView):
    """The page of the schema; its scripts and styles are served by this site."""

    query_class = ApiDocumentationQuery
    template_name = "catalog/api_documentation.html"

    @extend_schema(exclude=True)
    def get(self, request: Request, *args: Any, **kwargs: Any) -> Response:
        """Return the page with the policy that Swagger UI needs."""
        response: Response = super().get(request, *args, **kwargs)
        response.headers["Content-Security-Policy"] = API_DOCUMENTATION_POLICY
        return response

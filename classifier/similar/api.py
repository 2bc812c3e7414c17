"""Similar products over HTTP; anyone may read them."""

from django.http import Http404
from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework import serializers
from rest_framework.permissions import AllowAny
from rest_framework.request import Request
from rest_framework.response import Response

from catalog.browse.filters import ProductDetailQuery
from catalog.browse.serializers import ProductSerializer
from catalog.models import Product
from classifier.features.neighbours import find_similar_products
from config.web.queries import MAXIMUM_PAGE_SIZE, CheckedView
from config.web.responses import problems

DEFAULT_SIMILAR = 12


class SimilarProductsQuery(ProductDetailQuery):
    """How many similar products are wanted."""

    limit = serializers.IntegerField(
        min_value=1, max_value=MAXIMUM_PAGE_SIZE, default=DEFAULT_SIMILAR, help_text=f"Default {DEFAULT_SIMILAR}."
    )


class SimilarProductSerializer(ProductSerializer):
    """A product in a list, and how similar it is: what the view answers with, for the schema."""

    similarity = serializers.FloatField(
        min_value=0.0,
        max_value=1.0,
        help_text="The cosine of the nearest pictures' embeddings; 0 where it is negative.",
    )

    class Meta(ProductSerializer.Meta):
        fields = [*ProductSerializer.Meta.fields, "similarity"]


class SimilarProductsView(CheckedView):
    """The products whose pictures look most like those of a product, whatever their labels; the nearest first.

    Compared is what the base of the version in production saw in pictures. Empty while it saw none of the product's.
    """

    permission_classes = [AllowAny]
    query_class = SimilarProductsQuery

    @extend_schema(
        operation_id="products_similar_list",
        parameters=[SimilarProductsQuery, OpenApiParameter("id", int, OpenApiParameter.PATH)],
        responses={200: SimilarProductSerializer(many=True), **problems(400, 404)},
    )
    def get(self, request: Request, pk: int) -> Response:
        """Return the products whose pictures look most like those of a product, the nearest first."""
        try:
            similar = find_similar_products(pk, **self.query.validated_data)
        except Product.DoesNotExist as error:
            raise Http404 from error
        products = ProductSerializer([row.product for row in similar], many=True, context={"request": request}).data
        return Response(
            [
                {**product, "similarity": round(row.similarity, 6)}
                for product, row in zip(products, similar, strict=True)
            ]
        )

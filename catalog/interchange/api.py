"""Exports for programs: what the page sends, for a token."""

from typing import Any

from django.db.models import QuerySet
from django.http import HttpResponseBase
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework.negotiation import BaseContentNegotiation
from rest_framework.request import Request

from catalog.interchange.exporting import MEDIA_TYPES, ProductExportQuery
from catalog.interchange.views import build_query_response
from catalog.models import ProductLabel
from config.web.permissions import ModelPermissions
from config.web.queries import CheckedView
from config.web.responses import problems


class AnyContentNegotiation(BaseContentNegotiation):
    """The address says what is sent, so the header Accept decides nothing; errors are problem documents."""

    def select_renderer(self, request: Request, renderers: Any, format_suffix: str | None = None) -> Any:
        """Return the view's only renderer."""
        return renderers[0], renderers[0].media_type


class ProductExportView(CheckedView):
    """The products that the filters choose, with their labels, as a file that is made while it is sent.

    `csv` and `jsonl` hold every image and every description and can be imported again; `zip` holds the pictures, one
    folder for each group, and `manifest.jsonl`.
    """

    permission_classes = [ModelPermissions]
    query_class = ProductExportQuery
    content_negotiation_class = AnyContentNegotiation
    queryset: QuerySet[ProductLabel] = ProductLabel.objects.none()

    @extend_schema(
        parameters=[
            ProductExportQuery,
            OpenApiParameter("suffix", str, OpenApiParameter.PATH, enum=list(MEDIA_TYPES)),
        ],
        responses={
            **{
                (200, media_type.partition(";")[0]): OpenApiTypes.BINARY if suffix == "zip" else OpenApiTypes.STR
                for suffix, media_type in MEDIA_TYPES.items()
            },
            **problems(401, 403, 404),
        },
    )
    def get(self, request: Request, suffix: str) -> HttpResponseBase:
        """Return the products that the filters choose, with their labels, as a file."""
        return build_query_response(self.query, suffix=suffix)

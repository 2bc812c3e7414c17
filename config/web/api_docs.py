"""The API's own schema, and the page that shows it."""

from typing import Any

from drf_spectacular.utils import extend_schema
from drf_spectacular.views import SpectacularAPIView, SpectacularSwaggerSplitView
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from config.web.queries import CheckedView
from config.web.security import API_DOCUMENTATION_POLICY


class ApiSchemaQuery(serializers.Serializer[dict[str, Any]]):
    """What the schema is written in."""

    format = serializers.ChoiceField(("json", "yaml"), required=False)


class ApiSchemaView(CheckedView, SpectacularAPIView):
    """This API as OpenAPI 3, in YAML or JSON by the header Accept or by ?format=, which links can say.

    SERVE_INCLUDE_SCHEMA keeps it out of itself.
    """

    query_class = ApiSchemaQuery

    def get_renderers(self) -> list[Any]:
        """Return what the address asks for, or everything for the header to choose from."""
        asked = self.request.query_params.get("format", "") if isinstance(self.request, Request) else ""
        renderers: list[Any] = super().get_renderers()
        return [renderer for renderer in renderers if asked in renderer.media_type] or renderers


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

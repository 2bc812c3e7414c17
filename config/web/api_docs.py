"""The API's own schema, and the page that shows it."""

from typing import Any

from drf_spectacular.utils import extend_schema
from drf_spectacular.views import SpectacularAPIView, SpectacularSwaggerSplitView
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from config.web.queries import CheckedView
from config.web.security import API_DOCUMENTATION_POLICY


class ApiSchemaView(CheckedView, SpectacularAPIView):
    """This API as OpenAPI 3, in YAML or JSON by the header Accept. SERVE_INCLUDE_SCHEMA keeps it out of itself."""


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

"""Compression of what is text, for whoever accepts it."""

from django.http import HttpRequest, HttpResponse
from django.http.response import HttpResponseBase
from django.middleware.gzip import GZipMiddleware

TEXT_TYPES = ("text/", "application/json", "application/problem+json", "application/vnd.oai.openapi")


class TextCompressionMiddleware(GZipMiddleware):
    """Gzip for pages and JSON. Pictures are compressed already, and exports are sent while they are made."""

    def process_response(self, request: HttpRequest, response: HttpResponseBase) -> HttpResponseBase:
        """Return the response, compressed if that makes it smaller; its ETag is then a weak one."""
        content_type = response.headers.get("Content-Type", "")  # a 304 has none
        if not isinstance(response, HttpResponse) or not content_type.startswith(TEXT_TYPES):
            return response
        return super().process_response(request, response)

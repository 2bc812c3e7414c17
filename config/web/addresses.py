"""Addresses that are answered before any page: without their last slash, or with what no page of the admin can read."""

from http import HTTPStatus

from django.core.exceptions import BadRequest
from django.http import HttpRequest, HttpResponsePermanentRedirect
from django.http.response import HttpResponseBase
from django.middleware.common import CommonMiddleware


class AddressMiddleware(CommonMiddleware):
    """Django's own, whose redirect to the slash lets nobody repeat a POST as a GET: a 308 keeps method and body."""

    def process_request(self, request: HttpRequest) -> HttpResponsePermanentRedirect | None:
        """Refuse a NUL character in a page of the admin: Django's own filters hand it to PostgreSQL, which takes none.

        Other pages and the API say themselves which parameter they cannot read.
        """
        if request.path_info.startswith("/admin/") and "%00" in request.META.get("QUERY_STRING", ""):
            raise BadRequest("Expected text in the address; received a NUL character.")
        return super().process_request(request)

    def process_response(self, request: HttpRequest, response: HttpResponseBase) -> HttpResponseBase:
        """Return the response, or the redirect."""
        answer = super().process_response(request, response)
        if answer is not response and request.method not in ("GET", "HEAD"):
            answer.status_code = HTTPStatus.PERMANENT_REDIRECT
        return answer

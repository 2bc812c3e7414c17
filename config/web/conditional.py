"""Answers that a reader may have already: their ETag, and what If-Match and If-None-Match make of it."""

from functools import partial
from typing import Any

from django.http import HttpRequest, HttpResponse
from django.http.response import HttpResponseBase
from django.utils.cache import get_conditional_response, set_response_etag
from django.utils.http import parse_etags
from rest_framework.response import Response

from config.web.problems import answer_problem
from config.web.queries import CheckedView

CHANGED = "Expected the present ETag in the header If-Match; what is here has another one."


class ConditionalView(CheckedView):
    """A view whose answers to GET and HEAD carry an ETag of their content."""

    def dispatch(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponseBase:
        """Answer as ever; the ETag follows once the content is there."""
        response = super().dispatch(request, *args, **kwargs)
        if isinstance(response, Response) and response.status_code == 200 and request.method in ("GET", "HEAD"):
            response.add_post_render_callback(partial(answer_conditionally, request))
        return response


def answer_conditionally(request: HttpRequest, response: HttpResponse) -> HttpResponse:
    """Return the response with its ETag, a 304 for who has it, or a 412 for who has another one."""
    set_response_etag(response)
    etag = response.headers["ETag"]
    # Compression on the way makes the tag a weak one, which stands for the same content.
    wanted = [tag.removeprefix("W/") for tag in parse_etags(request.headers.get("If-Match", "*"))]
    if etag not in wanted and "*" not in wanted:
        return answer_problem(request, 412, CHANGED)
    # That was all of the first; a time says nothing of an answer that has none.
    for answered in ("HTTP_IF_MATCH", "HTTP_IF_UNMODIFIED_SINCE"):
        request.META.pop(answered, None)
    return get_conditional_response(request, etag=etag, response=response) or response

"""Errors of the API as RFC 9457 problem documents, and the site's error pages for everybody else."""

import sys
from http import HTTPStatus
from typing import Any

from django.conf import settings
from django.core.exceptions import BadRequest, PermissionDenied, RequestDataTooBig, SuspiciousOperation
from django.http import Http404, HttpRequest, HttpResponse, JsonResponse
from django.template.loader import render_to_string
from rest_framework import exceptions, serializers
from rest_framework.renderers import JSONRenderer
from rest_framework.response import Response
from rest_framework.views import exception_handler

from config.caches import count_up
from config.db.statements import is_statement_timeout
from config.db.troubles import TOO_LARGE, find_trouble
from config.web.access_log import find_address

PROBLEM_MEDIA_TYPE = "application/problem+json"
MINUTE = 60
#: Where programs call, beside which there are pages for people.
PROGRAMS = ("/api/", "/metrics")


class ProblemSerializer(serializers.Serializer[dict[str, Any]]):
    """A problem document: `detail` is for people, `errors` names the parameters or fields that were refused."""

    type = serializers.CharField(help_text="Always about:blank: the status says what kind of problem it is.")
    title = serializers.CharField(help_text="The status in words.")
    status = serializers.IntegerField(help_text="The HTTP status.")
    detail = serializers.CharField(help_text="What was expected and what came.")
    errors = serializers.DictField(  # type: ignore[assignment]  # RFC 9457 extension; shadows Serializer.errors
        child=serializers.ListField(child=serializers.CharField()),
        required=False,
        help_text="The messages for each parameter or field; only with status 400.",
    )


class ConflictError(exceptions.APIException):
    """What is asked for does not fit the present state; the same call may succeed later."""

    status_code = HTTPStatus.CONFLICT


class PreconditionFailedError(exceptions.APIException):
    """What the caller saw, by its If-Match, is no longer so."""

    status_code = HTTPStatus.PRECONDITION_FAILED


class PreconditionRequiredError(exceptions.APIException):
    """The call needs an If-Match, so that two people cannot overwrite each other's decision unseen."""

    status_code = HTTPStatus.PRECONDITION_REQUIRED
    default_detail = "Expected the header If-Match with the ETag that the list of model versions answers with."


class PayloadTooLargeError(exceptions.APIException):
    """The body is larger than what this call reads."""

    status_code = HTTPStatus.REQUEST_ENTITY_TOO_LARGE
    default_detail = "Expected a smaller body."


class UnprocessableRequestError(exceptions.APIException):
    """A request that is well formed and contradicts an earlier one."""

    status_code = HTTPStatus.UNPROCESSABLE_ENTITY


class ServiceUnavailableError(exceptions.APIException):
    """This machine cannot do what is asked for at the moment."""

    status_code = HTTPStatus.SERVICE_UNAVAILABLE


#: What Django's errors, and those of requests that it refuses, are in the API; the first that fits.
MEANT_ERRORS: dict[type[Exception], type[exceptions.APIException]] = {
    Http404: exceptions.NotFound,
    PermissionDenied: exceptions.PermissionDenied,
    RequestDataTooBig: PayloadTooLargeError,
    SuspiciousOperation: exceptions.ParseError,
}


def build_problem(status: int, *, detail: str, errors: Any = None) -> dict[str, Any]:
    """Return the problem document for a status; `errors` is left out when there are none."""
    problem = {"type": "about:blank", "title": HTTPStatus(status).phrase, "status": status, "detail": detail}
    return problem | {"errors": errors} if errors else problem


def problem_exception_handler(error: Exception, context: dict[str, Any]) -> Response | None:
    """Return the problem response for an error that a request may cause, or None for a fault of ours.

    None lets the error through to Django, which logs it and answers with `server_error` below.
    """
    error = next((meant() for kind, meant in MEANT_ERRORS.items() if isinstance(error, kind)), error)
    # Its headers are those of the answer, and it rolls the transaction back.
    response = exception_handler(error, context)
    if response is None or not isinstance(error, exceptions.APIException):
        return None
    if isinstance(error, exceptions.ValidationError):
        errors = error.detail if isinstance(error.detail, dict) else {"non_field_errors": error.detail}
        detail = "Some of what was sent is not accepted; see errors."
    else:
        errors, detail = None, str(error.detail)
    # Whatever the view answers in, YAML for one, its problems are JSON.
    context["request"].accepted_renderer = JSONRenderer()
    context["request"].accepted_media_type = JSONRenderer.media_type
    response.data = build_problem(error.status_code, detail=detail, errors=errors)
    response.content_type = PROBLEM_MEDIA_TYPE
    return response


def answer_problem(request: HttpRequest, status: int, detail: str, *, retry_after: int | None = None) -> HttpResponse:
    """Return a problem document for a call of the API, an error page for everybody else; `retry_after` in seconds."""
    problem = build_problem(status, detail=detail)
    headers = {"Retry-After": str(retry_after)} if retry_after else {}
    if request.path.startswith(PROGRAMS):
        return JsonResponse(problem, status=status, content_type=PROBLEM_MEDIA_TYPE, headers=headers)
    # Who is signed in is shown where that is known; nobody asks for it here, for the database may be what failed.
    reader = request if status < 500 and hasattr(request, "_cached_user") else None
    return HttpResponse(render_to_string("error.html", problem, reader), status=status, headers=headers)


def find_refusal(request: HttpRequest, *, scope: str) -> HttpResponse | None:
    """Return the answer to a reader who had as many of the scope made as one may have in a minute, or None.

    What is kept costs nothing: ask before something is made, no earlier.
    """
    who = f"user-{request.user.pk}" if request.user.is_authenticated else find_address(request)
    most = int(settings.REST_FRAMEWORK["DEFAULT_THROTTLE_RATES"][scope].removesuffix("/min"))
    if count_up(f"asked-for-{scope}-{who}", seconds=MINUTE) <= most:
        return None
    detail = f"Too many {scope} were asked for; please try again in a minute."
    return answer_problem(request, 429, detail, retry_after=MINUTE)


def bad_request(request: HttpRequest, exception: Exception) -> HttpResponse:
    """Answer a request that Django itself refused: a foreign Host header, too many parameters, too large a body."""
    if isinstance(exception, RequestDataTooBig):
        return answer_problem(request, 413, "Expected a smaller body.")
    if isinstance(exception, BadRequest) and str(exception):
        return answer_problem(request, 400, str(exception))
    return answer_problem(request, 400, "The request is not one that this site accepts.")


def permission_denied(request: HttpRequest, exception: Exception) -> HttpResponse:
    """Answer a request for something that the user may not see."""
    return answer_problem(request, 403, "You do not have permission to see this.")


def page_not_found(request: HttpRequest, exception: Exception) -> HttpResponse:
    """Answer a request for something that does not exist."""
    return answer_problem(request, 404, "There is nothing at this address.")


def server_error(request: HttpRequest) -> HttpResponse:
    """Answer after an uncaught error; Django has logged it by now. A database away or slow, or a lack of memory, is
    503, and passes.
    """
    error = sys.exception()
    if is_statement_timeout(error):
        return answer_problem(
            request, 503, "This takes longer than the site allows. Ask for less, or try again later.", retry_after=30
        )
    if isinstance(error, MemoryError):
        return answer_problem(request, 503, "There is no memory left for this; please try again.", retry_after=30)
    trouble = find_trouble(error)
    if trouble is TOO_LARGE:
        return answer_problem(request, 500, f"The database {trouble.words}; please ask for less.")
    if trouble is not None:
        return answer_problem(
            request, 503, f"The database {trouble.words} at the moment; please try again.", retry_after=5
        )
    return answer_problem(request, 500, "Something went wrong on our side. It has been logged; please try again later.")

"""What calls of the API have in common: problems, keys of calls sent twice, and the answer to the start of a run."""

from typing import Any

from drf_spectacular.utils import OpenApiParameter
from rest_framework import status
from rest_framework.exceptions import ValidationError
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.reverse import reverse

from config.web.problems import PROBLEM_MEDIA_TYPE, ProblemSerializer


def problems(*statuses: int) -> dict[tuple[int, str], Any]:
    """Return the schema's responses for these statuses, each a problem document."""
    return {(status, PROBLEM_MEDIA_TYPE): ProblemSerializer for status in statuses}


PROBLEMS = problems(400, 401, 403, 404)

MAXIMUM_KEY_LENGTH = 255
IDEMPOTENCY_KEY = OpenApiParameter(
    "Idempotency-Key",
    str,
    OpenApiParameter.HEADER,
    description="1 to 255 characters. The same key with the same body is done once, however often it is sent.",
)
RUN_ID = OpenApiParameter("id", int, OpenApiParameter.PATH)
LOCATION = OpenApiParameter("Location", str, OpenApiParameter.HEADER, response=[202], description="The run's address.")


def read_idempotency_key(request: Request) -> str | None:
    """Return the call's key, or None without one. Raises `ValidationError`."""
    key = request.headers.get("Idempotency-Key")
    if key is not None and not (0 < len(key) <= MAXIMUM_KEY_LENGTH and key.isascii() and key.isprintable()):
        message = f"Expected 1 to {MAXIMUM_KEY_LENGTH} printable ASCII characters in the header."
        raise ValidationError({"Idempotency-Key": [message]})
    return key


def build_accepted(data: dict[str, Any], *, request: Request, name: str) -> Response:
    """Return the 202 for a run that was started, with its address."""
    address = reverse(name, args=[data["id"]], request=request)
    return Response(data, status=status.HTTP_202_ACCEPTED, headers={"Location": address})

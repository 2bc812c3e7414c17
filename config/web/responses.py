"""What the calls of the classifier's API have in common: their problems, and the answer to the start of a run."""

from typing import Any

from drf_spectacular.utils import OpenApiParameter
from rest_framework import status
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.reverse import reverse

from config.web.problems import PROBLEM_MEDIA_TYPE, ProblemSerializer


def problems(*statuses: int) -> dict[tuple[int, str], Any]:
    """Return the schema's responses for these statuses, each a problem document."""
    return {(status, PROBLEM_MEDIA_TYPE): ProblemSerializer for status in statuses}


PROBLEMS = problems(400, 401, 403, 404)


RUN_ID = OpenApiParameter("id", int, OpenApiParameter.PATH)
LOCATION = OpenApiParameter("Location", str, OpenApiParameter.HEADER, response=[202], description="The run's address.")


def build_accepted(data: dict[str, Any], *, request: Request, name: str) -> Response:
    """Return the 202 for a run that was started, with its address."""
    address = reverse(name, args=[data["id"]], request=request)
    return Response(data, status=status.HTTP_202_ACCEPTED, headers={"Location": address})

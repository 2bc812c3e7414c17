"""What the calls of the classifier's API have in common: their problems, and who makes them."""

from typing import Any, cast

from django.contrib.auth.models import User
from rest_framework.request import Request

from config.problems import PROBLEM_MEDIA_TYPE, ProblemSerializer


def problems(*statuses: int) -> dict[tuple[int, str], Any]:
    """Return the schema's responses for these statuses, each a problem document."""
    return {(status, PROBLEM_MEDIA_TYPE): ProblemSerializer for status in statuses}


PROBLEMS = problems(400, 401, 403, 404)


def get_member(request: Request) -> User:
    """Return who is signed in; the permissions have seen to it that somebody is."""
    return cast(User, request.user)

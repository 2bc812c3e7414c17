"""Who may call what, and how often."""

from typing import cast

from django.contrib.auth.models import User
from django.http import HttpRequest
from rest_framework.permissions import SAFE_METHODS, DjangoModelPermissions
from rest_framework.request import Request
from rest_framework.throttling import ScopedRateThrottle
from rest_framework.views import APIView

from config.caches import count_up

VIEW = ["%(app_label)s.view_%(model_name)s"]
CHANGE = ["%(app_label)s.change_%(model_name)s"]


def get_member(request: HttpRequest | Request) -> User:
    """Return who is signed in; the permissions of a call, or the admin, have seen to it that somebody is."""
    return cast(User, request.user)


class ModelPermissions(DjangoModelPermissions):
    """Django's permissions of the view's model; reading needs one as well."""

    perms_map = DjangoModelPermissions.perms_map | {"GET": VIEW, "HEAD": VIEW, "OPTIONS": VIEW}


class ChangePermissions(ModelPermissions):
    """The same for calls that change a row by a POST: cancel, activate, retry, ignore."""

    perms_map = ModelPermissions.perms_map | {"POST": CHANGE}


class QueryPermissions(ModelPermissions):
    """The same for calls whose POST asks something and writes nothing."""

    perms_map = ModelPermissions.perms_map | {"POST": VIEW}


class ReadPermissions(ModelPermissions):
    """The same for rows that nobody but the product itself writes, which may only be seen."""

    perms_map = dict.fromkeys(ModelPermissions.perms_map, VIEW)


class WriteThrottle(ScopedRateThrottle):
    """The rate of the view's `throttle_scope`, for calls that may change something; reading is free.

    A count for each user and minute. It bounds what calls cost and is no lock: while the cache is away nothing is
    counted.
    """

    def allow_request(self, request: Request, view: APIView) -> bool:
        """Return whether the call may be made now."""
        if request.method in SAFE_METHODS:
            return True
        self.scope = getattr(view, self.scope_attr)
        most, seconds = cast(tuple[int, int], self.parse_rate(self.get_rate()))
        window, elapsed = divmod(self.timer(), seconds)
        self.seconds_left = seconds - elapsed
        key = f"{self.get_cache_key(request, view)}_{window:.0f}"
        return count_up(key, seconds=seconds, cache=self.cache) <= most

    def wait(self) -> float:
        """Return the seconds until the next count begins."""
        return self.seconds_left

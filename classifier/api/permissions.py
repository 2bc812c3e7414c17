"""Who may call what, and how often."""

from rest_framework.permissions import SAFE_METHODS, DjangoModelPermissions
from rest_framework.request import Request
from rest_framework.throttling import ScopedRateThrottle
from rest_framework.views import APIView

VIEW = ["%(app_label)s.view_%(model_name)s"]
CHANGE = ["%(app_label)s.change_%(model_name)s"]


class ModelPermissions(DjangoModelPermissions):
    """Django's permissions of the view's model; reading needs one as well."""

    perms_map = DjangoModelPermissions.perms_map | {"GET": VIEW, "HEAD": VIEW, "OPTIONS": VIEW}


class ChangePermissions(ModelPermissions):
    """The same for calls that change a row by a POST: cancel, activate, retry, ignore."""

    perms_map = ModelPermissions.perms_map | {"POST": CHANGE}


class QueryPermissions(ModelPermissions):
    """The same for calls whose POST asks something and writes nothing."""

    perms_map = ModelPermissions.perms_map | {"POST": VIEW}


class WriteThrottle(ScopedRateThrottle):
    """The rate of the view's `throttle_scope`, for calls that may change something; reading is free."""

    def allow_request(self, request: Request, view: APIView) -> bool:
        """Return whether the call may be made now."""
        return request.method in SAFE_METHODS or super().allow_request(request, view)

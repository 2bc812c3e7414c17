"""An admin that shows rows and changes none."""

from django.db.models import Model
from django.http import HttpRequest

from config.web.admin_lists import LargeTableAdmin


class ReadOnlyAdmin(LargeTableAdmin):
    """Rows that only the product itself writes."""

    def has_add_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        """Return False."""
        return False

    def has_change_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        """Return False."""
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        """Return False."""
        return False

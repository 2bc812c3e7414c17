"""Actions of the admin's list of products that export what is selected."""

from django.contrib import admin, messages
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponseBase

from catalog.browse.listing import PRODUCT_ORDERINGS
from catalog.interchange.exporting import encode_products
from catalog.interchange.views import BUSY, BusyError, build_export_response
from catalog.interchange.writing import ExportReport
from catalog.models import Product
from config.web.admin import LargeTableAdmin


class ExportingMixin(LargeTableAdmin):
    """An admin of products whose actions answer with what is selected, as a file."""

    def has_export_permission(self, request: HttpRequest) -> bool:
        """Return whether the user may export products with their labels."""
        return request.user.has_perm("catalog.view_productlabel")

    @admin.action(description="Export selected products as CSV", permissions=["export"])
    def export_csv(self, request: HttpRequest, queryset: QuerySet[Product]) -> HttpResponseBase | None:
        """Answer with the selected products as a file."""
        return self._export(request, queryset, suffix="csv")

    @admin.action(description="Export selected products as JSON Lines", permissions=["export"])
    def export_jsonl(self, request: HttpRequest, queryset: QuerySet[Product]) -> HttpResponseBase | None:
        """Answer with the selected products as a file."""
        return self._export(request, queryset, suffix="jsonl")

    def _export(self, request: HttpRequest, queryset: QuerySet[Product], *, suffix: str) -> HttpResponseBase | None:
        if self.is_more_than(request, queryset, maximum=self.maximum_selected, verb="export"):
            return None
        ordering = PRODUCT_ORDERINGS["id"]
        parts = encode_products(queryset, ordering=ordering, suffix=suffix, report=ExportReport())
        try:
            return build_export_response(parts, suffix=suffix, name="selected-products")
        except BusyError:
            self.message_user(request, BUSY, messages.ERROR)
            return None

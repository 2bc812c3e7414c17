"""The current labels in the admin, and the filters of lists by model version."""

from typing import Any, ClassVar

from django.contrib.admin.options import BaseModelAdmin
from django.db.models import QuerySet
from django.http import HttpRequest

from catalog.admin.lists import (
    LabelConfidenceFilter,
    LabelEvidenceFilter,
    LabelFilter,
    LabelGarmentFilter,
    LabelGarmentUnsureFilter,
    LabelReasonFilter,
    show_confidence,
)
from catalog.models import Product, ProductLabel
from catalog.search.query import TextSearch
from classifier.models import ModelVersion
from config.web.admin import ReadOnlyAdmin


class LabelModelVersionFilter(LabelFilter):
    """Products by the model version behind their label."""

    title = "model version"
    parameter_name = "model_version"

    def lookups(self, request: HttpRequest, model_admin: BaseModelAdmin) -> list[tuple[str, str]]:
        """Return the versions, newest first."""
        return [(str(pk), name) for pk, name in ModelVersion.objects.order_by("-pk").values_list("pk", "name")]


class ProductLabelAdmin(ReadOnlyAdmin):
    """The current label of each product."""

    list_display = ("product", "group", "garment", show_confidence, "status", "source", "model_version", "labelled_at")
    list_filter = (
        "group",
        LabelGarmentFilter,
        LabelGarmentUnsureFilter,
        "status",
        LabelReasonFilter,
        LabelEvidenceFilter,
        LabelConfidenceFilter,
        LabelModelVersionFilter,
        "source",
    )
    list_select_related = ("product", "model_version")
    search_fields = ("product__title",)  # any, so that there is a search; it looks where the text search does
    search_help_text = "The id of a product, or words of its title and descriptions, parts of words included."
    sortable_by = ()
    ordering = ("-pk",)
    exclude = ("confidence",)
    readonly_fields: ClassVar[Any] = (show_confidence,)

    def search_texts(
        self, request: HttpRequest, queryset: QuerySet[ProductLabel], term: str
    ) -> tuple[QuerySet[ProductLabel], bool]:
        """Return the labels of the products that the catalogue's text search finds."""
        return queryset.filter(product__in=TextSearch(term).find(Product.objects.all())), False

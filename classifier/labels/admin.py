"""The current labels in the admin."""

from django.db.models import QuerySet
from django.http import HttpRequest

from catalog.admin.lists import OwnConfidenceFilter, OwnGarmentFilter
from catalog.models import Product, ProductLabel
from catalog.search.query import TextSearch
from classifier.registry.admin_filters import OwnModelVersionFilter
from config.web.admin import ReadOnlyAdmin


class ProductLabelAdmin(ReadOnlyAdmin):
    """The current label of each product."""

    list_display = ("product", "group", "garment", "confidence", "status", "source", "model_version", "labelled_at")
    list_filter = ("group", OwnGarmentFilter, "status", OwnConfidenceFilter, OwnModelVersionFilter, "source")
    list_select_related = ("product", "model_version")
    search_fields = ("product__title",)  # any, so that there is a search; it looks where the text search does
    search_help_text = "The id of a product, or words of its title and descriptions, parts of words included."
    sortable_by = ()
    ordering = ("-pk",)

    def search_texts(
        self, request: HttpRequest, queryset: QuerySet[ProductLabel], term: str
    ) -> tuple[QuerySet[ProductLabel], bool]:
        """Return the labels of the products that the catalogue's text search finds."""
        return queryset.filter(product__in=TextSearch(term).find(Product.objects.all())), False

"""What lists of large tables in the admin share: their cost, their search and filters, and how they show a picture."""

from typing import Any

from django.contrib import admin
from django.contrib.admin.options import BaseModelAdmin
from django.db.models import Q, QuerySet
from django.http import HttpRequest
from django.utils.html import format_html
from django.utils.safestring import SafeString

from catalog.models import Product, ProductLabel
from catalog.pictures.storage import get_thumbnail_path
from classifier.ml.labels import GARMENTS, GROUPS

# Lower and upper bound of a band of confidence; where people look closely there are more of them.
CONFIDENCE_BANDS = ((0.0, 0.5), (0.5, 0.7), (0.7, 0.9), (0.9, 0.99), (0.99, 1.0))


def render_thumbnail(sha256: str | None) -> SafeString | str:
    """Return our copy of a picture as an element of 64 pixels that is loaded when it comes into view."""
    if not sha256:
        return "-"
    return format_html('<img src="{}" alt="" width="64" height="64" loading="lazy">', get_thumbnail_path(sha256))


class LabelFilter(admin.SimpleListFilter):
    """Rows by their product's label; `path` leads to it, and is empty for labels themselves."""

    path = "label__"

    def filter_label(self, queryset: QuerySet[Any], **conditions: Any) -> QuerySet[Any]:
        """Return the rows whose label meets the conditions."""
        return queryset.filter(Q(**{self.path + name: value for name, value in conditions.items()}))


class LabelGroupFilter(LabelFilter):
    """Products by the group of their label."""

    title = "group"
    parameter_name = "group"

    def lookups(self, request: HttpRequest, model_admin: BaseModelAdmin) -> list[tuple[str, str]]:
        """Return the five groups."""
        return [(group, group) for group in GROUPS]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        """Return the products of the chosen group."""
        return self.filter_label(queryset, group=self.value()) if self.value() else queryset


class LabelGarmentFilter(LabelFilter):
    """Products by the garment of their label."""

    title = "garment"
    parameter_name = "garment"

    def lookups(self, request: HttpRequest, model_admin: BaseModelAdmin) -> list[tuple[str, str]]:
        """Return the ten garments."""
        return [(garment, garment) for garment in GARMENTS]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        """Return the products of the chosen garment."""
        return self.filter_label(queryset, garment=self.value()) if self.value() else queryset


class LabelStatusFilter(LabelFilter):
    """Products by the status of their label."""

    title = "status"
    parameter_name = "status"

    def lookups(self, request: HttpRequest, model_admin: BaseModelAdmin) -> list[tuple[str, str]]:
        """Return every status."""
        return [(value, label.capitalize()) for value, label in ProductLabel.Status.choices]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Product]) -> QuerySet[Product]:
        """Return the products of the chosen status."""
        return self.filter_label(queryset, status=self.value()) if self.value() else queryset


class LabelConfidenceFilter(LabelFilter):
    """Products by how sure the classifier is of their label."""

    title = "confidence"
    parameter_name = "confidence"

    def lookups(self, request: HttpRequest, model_admin: BaseModelAdmin) -> list[tuple[str, str]]:
        """Return the bands; each has its lower bound, and the last its upper one as well."""
        return [(f"{low}", f"{low:.0%} to {high:.0%}") for low, high in CONFIDENCE_BANDS]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        """Return the products of the chosen band."""
        high = {f"{low}": high for low, high in CONFIDENCE_BANDS}.get(self.value() or "")
        if high is None:
            return queryset
        upper = "confidence__lte" if high == 1.0 else "confidence__lt"
        return self.filter_label(queryset, **{"confidence__gte": float(self.value() or 0), upper: high})


class OwnGarmentFilter(LabelGarmentFilter):
    """Labels by garment."""

    path = ""


class OwnConfidenceFilter(LabelConfidenceFilter):
    """Labels by confidence."""

    path = ""

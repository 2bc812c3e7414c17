"""What lists of large tables in the admin share: their cost, their search and filters, and how they show a picture."""

from collections.abc import Sequence
from typing import Any

from django.contrib import admin
from django.contrib.admin.options import BaseModelAdmin
from django.db.models import QuerySet
from django.http import HttpRequest
from django.utils.html import format_html
from django.utils.safestring import SafeString

from catalog.labels import match_evidence
from catalog.models import GARMENT_CHOICES, GROUP_CHOICES, ProductLabel
from catalog.pictures.storage import get_thumbnail_path

# Lower and upper bound of a band of confidence; where people look closely there are more of them.
CONFIDENCE_BANDS = ((0.0, 0.5), (0.5, 0.7), (0.7, 0.9), (0.9, 0.99), (0.99, 1.0))


def render_thumbnail(sha256: str | None) -> SafeString | str:
    """Return our copy of a picture as an element of 64 pixels that is loaded when it comes into view."""
    if not sha256:
        return "-"
    return format_html('<img src="{}" alt="" width="64" height="64" loading="lazy">', get_thumbnail_path(sha256))


@admin.display(description="confidence in the group")
def show_confidence(row: Any) -> str:
    """Return the confidence of a label, or of what else has one, in per cent."""
    return "-" if row.confidence is None else f"{row.confidence:.1%}"


def find_label_path(queryset: QuerySet[Any]) -> str:
    """Return what leads from the rows to their label; nothing for labels themselves."""
    return "" if queryset.model is ProductLabel else "label__"


class LabelFilter(admin.SimpleListFilter):
    """Products, or labels, by a column of the label."""

    values: Sequence[tuple[str, str]] = ()

    def lookups(self, request: HttpRequest, model_admin: BaseModelAdmin) -> list[tuple[str, str]]:
        """Return what can be chosen."""
        return list(self.values)

    def value(self) -> str | None:
        """Return what is chosen; None for what cannot be, which a column might refuse."""
        value = super().value()
        return value if any(value == choice for choice, _ in self.lookup_choices) else None

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        """Return the rows of the chosen value."""
        column, value = f"{find_label_path(queryset)}{self.parameter_name}", self.value()
        return queryset.filter(**{column: value}) if value else queryset


class LabelGroupFilter(LabelFilter):
    """Products by the group of their label."""

    title = parameter_name = "group"
    values = GROUP_CHOICES


class LabelGarmentFilter(LabelFilter):
    """Products by the garment of their label."""

    title = parameter_name = "garment"
    values = GARMENT_CHOICES


class LabelGarmentUnsureFilter(LabelFilter):
    """Products whose label's group stands, but not the garment within it."""

    title = "garment not sure"
    parameter_name = "garment_unsure"
    values = (("True", "Not sure"),)


class LabelStatusFilter(LabelFilter):
    """Products by the status of their label."""

    title = parameter_name = "status"
    values = ProductLabel.Status.choices


class LabelReasonFilter(LabelFilter):
    """Products by why their label waits for a person."""

    title = parameter_name = "reason"
    values = ProductLabel.Reason.choices


class LabelEvidenceFilter(LabelFilter):
    """Products by what a machine's label stands on."""

    title = parameter_name = "evidence"
    values = ProductLabel.Evidence.choices

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        """Return the rows of the chosen evidence, of which the picture is stored as nothing."""
        value = self.value()
        return queryset.filter(match_evidence([value], path=find_label_path(queryset))) if value else queryset


class LabelConfidenceFilter(LabelFilter):
    """Products by how sure the classifier is of their label, in bands; the last one has its upper bound as well."""

    title = parameter_name = "confidence"
    values = [(f"{low}", f"{low:.0%} to {high:.0%}") for low, high in CONFIDENCE_BANDS]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        """Return the rows of the chosen band."""
        high = {f"{low}": high for low, high in CONFIDENCE_BANDS}.get(self.value() or "")
        if high is None:
            return queryset
        column, upper = f"{find_label_path(queryset)}confidence", "lte" if high == 1.0 else "lt"
        return queryset.filter(**{f"{column}__gte": float(self.value() or 0), f"{column}__{upper}": high})

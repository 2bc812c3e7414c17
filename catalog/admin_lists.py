"""What lists of large tables in the admin share: their cost, their search and filters, and how they show a picture."""

from collections.abc import Sequence
from typing import Any, ClassVar, cast

from django.contrib import admin, messages
from django.contrib.admin.actions import delete_selected
from django.contrib.admin.options import BaseModelAdmin
from django.contrib.auth.models import User
from django.db.models import Q, QuerySet
from django.http import HttpRequest, HttpResponse
from django.utils.html import format_html
from django.utils.safestring import SafeString

from catalog.links import get_thumbnail_path
from catalog.models import Product
from catalog.paging import CappedPaginator
from classifier.listing import with_label_status
from classifier.ml.labels import GARMENTS, GROUPS
from classifier.models import ModelVersion, ProductLabel

# A person looks at what they mark or delete; more than two pages of it is a slip of the mouse.
MAXIMUM_CHOSEN = 100
# Lower and upper bound of a band of confidence; where people look closely there are more of them.
CONFIDENCE_BANDS = ((0.0, 0.5), (0.5, 0.7), (0.7, 0.9), (0.9, 0.99), (0.99, 1.0))


def render_thumbnail(sha256: str | None) -> SafeString | str:
    """Return our copy of a picture as an element of 64 pixels that is loaded when it comes into view."""
    if not sha256:
        return "-"
    return format_html('<img src="{}" alt="" width="64" height="64" loading="lazy">', get_thumbnail_path(sha256))


def get_member(request: HttpRequest) -> User:
    """Return who is signed in; the admin has seen to it that somebody is."""
    return cast(User, request.user)


class LargeTableAdmin(admin.ModelAdmin):
    """An admin whose pages cost the same however many rows there are: no full counts, sorted by id only."""

    show_full_result_count = False
    show_facets = admin.ShowFacets.NEVER
    paginator = CappedPaginator
    list_per_page = 50
    sortable_by: ClassVar[tuple[str, ...]] = ("id",)
    ordering: ClassVar[tuple[str, ...]] = ("-id",)
    actions: Sequence[Any] = ("delete_selected",)

    def get_search_results(
        self, request: HttpRequest, queryset: QuerySet[Any], search_term: str
    ) -> tuple[QuerySet[Any], bool]:
        """Return the row with exactly this id, if the term is one; otherwise what `search_texts` finds."""
        term = search_term.strip()
        if term.isascii() and term.isdigit():
            by_id = queryset.filter(pk=term)
            if by_id.exists():
                return by_id, False
        if not term:
            return queryset, False
        return self.search_texts(request, queryset, term)

    def search_texts(self, request: HttpRequest, queryset: QuerySet[Any], term: str) -> tuple[QuerySet[Any], bool]:
        """Return what `search_fields` find of a term that is not empty, and whether rows may be there twice."""
        return super().get_search_results(request, queryset, term)

    @admin.action(description="Delete selected %(verbose_name_plural)s", permissions=["delete"])
    def delete_selected(self, request: HttpRequest, queryset: QuerySet[Any]) -> HttpResponse | None:
        """Ask as Django does before it deletes, unless that are more rows than a person looks at.

        Django's question lists every row that would go, with everything that refers to it.
        """
        if self.is_more_than(request, queryset, maximum=MAXIMUM_CHOSEN, verb="delete"):
            return None
        return delete_selected(self, request, queryset)

    def is_more_than(self, request: HttpRequest, queryset: QuerySet[Any], *, maximum: int, verb: str) -> bool:
        """Return whether more rows are selected than an action takes; then a message says so."""
        if count_up_to(queryset, maximum=maximum) <= maximum:
            return False
        text = f"Expected at most {maximum:,} {self.opts.verbose_name_plural} to {verb} at a time; more were selected."
        self.message_user(request, text, messages.ERROR)
        return True


def count_up_to(queryset: QuerySet[Any], *, maximum: int) -> int:
    """Return the number of rows, or `maximum` + 1 if there are more; no more than these are looked at."""
    return queryset.order_by()[: maximum + 1].count()


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


class LabelStatusFilter(admin.SimpleListFilter):
    """Products by the status of their label, those without one included."""

    title = "status"
    parameter_name = "status"

    def lookups(self, request: HttpRequest, model_admin: BaseModelAdmin) -> list[tuple[str, str]]:
        """Return every status."""
        return [(value, label.capitalize()) for value, label in ProductLabel.Status.choices]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Product]) -> QuerySet[Product]:
        """Return the products of the chosen status."""
        return with_label_status(queryset, self.value() or "")


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


class LabelModelVersionFilter(LabelFilter):
    """Products by the model version behind their label."""

    title = "model version"
    parameter_name = "model_version"

    def lookups(self, request: HttpRequest, model_admin: BaseModelAdmin) -> list[tuple[str, str]]:
        """Return the versions, newest first."""
        return [(str(pk), name) for pk, name in ModelVersion.objects.order_by("-pk").values_list("pk", "name")]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        """Return the products that the chosen version labelled."""
        value = self.value() or ""
        if not (value.isascii() and value.isdigit()):
            return queryset
        return self.filter_label(queryset, model_version=int(value))


class OwnGarmentFilter(LabelGarmentFilter):
    """Labels by garment."""

    path = ""


class OwnConfidenceFilter(LabelConfidenceFilter):
    """Labels by confidence."""

    path = ""


class OwnModelVersionFilter(LabelModelVersionFilter):
    """Labels by model version."""

    path = ""

"""Lists of large tables in the admin: they cost the same however many rows there are."""

from collections.abc import Sequence
from typing import Any, ClassVar, cast

from django.contrib import admin, messages
from django.contrib.admin.actions import delete_selected
from django.contrib.auth.models import User
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse

from config.db.paging import CappedPaginator

# A person looks at what they mark or delete; more than two pages of it is a slip of the mouse.
MAXIMUM_CHOSEN = 100


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

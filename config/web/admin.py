"""What the admin's lists share: they cost the same however many rows there are, and actions ask first."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

from django.contrib import admin, messages
from django.contrib.admin.actions import delete_selected
from django.contrib.admin.helpers import ACTION_CHECKBOX_NAME
from django.core.exceptions import BadRequest
from django.db.models import Model, QuerySet
from django.http import HttpRequest, HttpResponse
from django.template.response import TemplateResponse

from config.db.paging import CappedPaginator
from config.web.queries import MAXIMUM_SEARCH_WORDS, parse_id


class LargeTableAdmin(admin.ModelAdmin):
    """An admin whose pages cost the same however many rows there are: no full counts, sorted by id only."""

    show_full_result_count = False
    show_facets = admin.ShowFacets.NEVER
    paginator = CappedPaginator
    list_per_page = 50
    sortable_by: ClassVar[tuple[str, ...]] = ("id",)
    ordering: ClassVar[tuple[str, ...]] = ("-id",)
    actions: Sequence[Any] = ("delete_selected",)
    # A person looks at what they mark or delete; more than two pages of it is a slip of the mouse.
    maximum_chosen = 100
    # What one export writes, or one decision on the error queue is about: as many as a list counts. Runs take any.
    maximum_selected = 10_000

    def get_queryset(self, request: HttpRequest) -> QuerySet[Any]:
        """Return the rows with what the list shows of others; a row on its own page is called by their names."""
        rows, related = super().get_queryset(request), self.list_select_related
        return rows if isinstance(related, bool) else rows.select_related(*related)

    def get_search_results(
        self, request: HttpRequest, queryset: QuerySet[Any], search_term: str
    ) -> tuple[QuerySet[Any], bool]:
        """Return the row with exactly this id, if the term is one; otherwise what `search_texts` finds.

        Raises `BadRequest` for more words than a search may have.
        """
        term = search_term.strip()
        if len(term.split()) > MAXIMUM_SEARCH_WORDS:
            raise BadRequest(f"Expected at most {MAXIMUM_SEARCH_WORDS} words; received {len(term.split()):,}.")
        if (pk := parse_id(term)) is not None:
            by_id = queryset.filter(pk=pk)
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
        if self.is_more_than(request, queryset, maximum=self.maximum_chosen, verb="delete"):
            return None
        return delete_selected(self, request, queryset)

    def is_more_than(self, request: HttpRequest, queryset: QuerySet[Any], *, maximum: int, verb: str) -> bool:
        """Return whether more rows are selected than an action takes; then a message says so."""
        if count_up_to(queryset, maximum=maximum) <= maximum:
            return False
        text = f"Expected at most {maximum:,} {self.opts.verbose_name_plural} to {verb} at a time; more were selected."
        self.message_user(request, text, messages.ERROR)
        return True

    def count_in_words(self, queryset: QuerySet[Any]) -> str:
        """Return the number of rows, "more than 10,000" where it was not counted further."""
        number = count_up_to(queryset, maximum=self.maximum_selected)
        return f"more than {self.maximum_selected:,}" if number > self.maximum_selected else f"{number:,}"


def count_up_to(queryset: QuerySet[Any], *, maximum: int) -> int:
    """Return the number of rows, or `maximum` + 1 if there are more; no more than these are looked at."""
    return queryset.order_by()[: maximum + 1].count()


@dataclass(frozen=True, slots=True)
class Question:
    """What is asked before an action: `counts` name what it is about."""

    title: str
    text: str
    button: str
    counts: Sequence[tuple[str, str]]


def ask(
    model_admin: LargeTableAdmin, request: HttpRequest, queryset: QuerySet[Any], *, question: Question
) -> HttpResponse | None:
    """Return the page that asks, or None once the question was answered with yes.

    Up to `maximum_chosen` rows are named one by one, so that what is done is what was asked about.
    """
    if "confirmed" in request.POST:
        return None
    ids = list(queryset.order_by().values_list("pk", flat=True)[: model_admin.maximum_chosen + 1])
    all_of_them = len(ids) > model_admin.maximum_chosen
    context = {
        **model_admin.admin_site.each_context(request),
        "title": question.title,
        "question": question,
        "opts": model_admin.opts,
        "action": request.POST.get("action", ""),
        "checkbox": ACTION_CHECKBOX_NAME,
        "ids": ids[:1] if all_of_them else ids,
        "all_of_them": all_of_them,
    }
    return TemplateResponse(request, "admin/action_confirmation.html", context)


class LastingAdmin(LargeTableAdmin):
    """Rows that stay as they are once they were added."""

    def has_change_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        return False


class ReadOnlyAdmin(LastingAdmin):
    """Rows that only the product itself writes."""

    def has_add_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        return False

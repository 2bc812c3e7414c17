"""What is asked before an action of the admin: it says how many rows it is about."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from django.contrib import admin
from django.contrib.admin.helpers import ACTION_CHECKBOX_NAME
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from django.template.response import TemplateResponse

from config.web.admin_lists import MAXIMUM_CHOSEN, count_up_to

# Rows that one export writes, and one decision on the error queue is about: as many as a list counts. Runs take any.
MAXIMUM_SELECTED = 10_000


@dataclass(frozen=True, slots=True)
class Question:
    """What is asked before an action: `counts` name what it is about."""

    title: str
    text: str
    button: str
    counts: Sequence[tuple[str, str]]


def ask(
    model_admin: admin.ModelAdmin, request: HttpRequest, queryset: QuerySet[Any], *, question: Question
) -> HttpResponse | None:
    """Return the page that asks, or None once the question was answered with yes.

    Up to `MAXIMUM_CHOSEN` rows are named one by one, so that what is done is what was asked about.
    """
    if "confirmed" in request.POST:
        return None
    ids = list(queryset.order_by().values_list("pk", flat=True)[: MAXIMUM_CHOSEN + 1])
    all_of_them = len(ids) > MAXIMUM_CHOSEN
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


def count_in_words(queryset: QuerySet[Any]) -> str:
    """Return the number of rows, "more than 10,000" where it was not counted further."""
    number = count_up_to(queryset, maximum=MAXIMUM_SELECTED)
    return f"more than {MAXIMUM_SELECTED:,}" if number > MAXIMUM_SELECTED else f"{number:,}"

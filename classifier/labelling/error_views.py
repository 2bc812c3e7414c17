"""The page of the error queue: what failed and why, with buttons for those who may decide what becomes of it."""

from collections.abc import Callable, Collection
from typing import Any

from django.contrib import messages
from django.contrib.auth.decorators import login_required, permission_required
from django.http import Http404, HttpRequest, HttpResponse, QueryDict
from django.shortcuts import redirect, render
from django.urls import reverse
from django.views.decorators.http import require_POST, require_safe
from rest_framework.exceptions import ValidationError

from classifier.labelling.error_words import ERROR_WORDS, get_error_words
from classifier.labelling.errors import ignore_errors, retry_errors
from classifier.labelling.query import ErrorListQuery
from classifier.labelling.selectors import LATEST_FAILURE_FIRST, list_errors, with_first_product
from classifier.models import LabellingRun, LabelTask
from config.db.paging import InvalidCursorError, get_page
from config.web.queries import check_parameters, pick_parameters
from config.web.texts import remove_bidi_controls

ERRORS_PER_PAGE = 50
# What one press of a button may touch: more than a page shows.
MAXIMUM_CHOSEN = 100
STATE_WORDS = {
    LabelTask.State.RETRY: "Waits for its next try",
    LabelTask.State.FAILED: "Given up",
    LabelTask.State.IGNORED: "Ignored",
}
MAXIMUM_TASK_ID = 2**63 - 1


@require_safe
@login_required
@permission_required("classifier.view_labeltask", raise_exception=True)
def error_list(request: HttpRequest) -> HttpResponse:
    """Answer with the pictures that could not be labelled, the latest failure first; filters are in the address."""
    parameters, filters = pick_parameters(ErrorListQuery, request.GET)
    context: dict[str, Any] = {
        "parameters": parameters,
        "filters": filters,
        "codes": list(ERROR_WORDS.items()),
        "states": list(STATE_WORDS.items()),
    }
    try:
        query = check_parameters(ErrorListQuery, parameters)
    except ValidationError as error:
        return render(request, "classifier/error_list.html", context | {"errors": error.detail}, status=400)
    try:
        page = get_page(
            with_first_product(list_errors(query.get_criteria())).select_related("image__stored_picture"),
            ordering=LATEST_FAILURE_FIRST,
            page_size=query.get_page_size(default=ERRORS_PER_PAGE),
            cursor=query.get_cursor(),
        )
    except InvalidCursorError as error:
        raise Http404 from error
    context |= {"page": page, "rows": [describe_error(task) for task in page.rows]}
    if not page.rows:
        context["has_runs"] = LabellingRun.objects.exists()
    return render(request, "classifier/error_list.html", context)


@require_POST
@login_required
@permission_required("classifier.change_labeltask", raise_exception=True)
def error_retry(request: HttpRequest) -> HttpResponse:
    """Try the chosen pictures again, now, and answer with the page that they were chosen on."""
    return change_chosen(request, change=retry_errors, done="tried again")


@require_POST
@login_required
@permission_required("classifier.change_labeltask", raise_exception=True)
def error_ignore(request: HttpRequest) -> HttpResponse:
    """Leave the chosen pictures alone, and answer with the page that they were chosen on."""
    return change_chosen(request, change=ignore_errors, done="ignored")


def change_chosen(request: HttpRequest, *, change: Callable[[Collection[int]], int], done: str) -> HttpResponse:
    """Apply the change to the pictures that the form names: the one whose button was pressed, or those with a mark."""
    chosen = request.POST.getlist("only") or request.POST.getlist("task")
    task_ids = [int(text) for text in chosen[:MAXIMUM_CHOSEN] if text.isascii() and text.isdecimal()]
    task_ids = [pk for pk in task_ids if pk <= MAXIMUM_TASK_ID]
    if task_ids:
        changed = change(task_ids)
        pictures = "1 picture is" if changed == 1 else f"{changed} pictures are"
        others = "" if changed == len(task_ids) else f" The other {len(task_ids) - changed} had changed meanwhile."
        messages.success(request, f"{pictures} {done}.{others}")
    else:
        messages.error(request, "Nothing was chosen: mark the pictures first, or press the button beside one.")
    query = QueryDict(request.POST.get("query", "")).urlencode()
    return redirect(f"{reverse('error-list')}?{query}" if query else reverse("error-list"))


def describe_error(task: LabelTask) -> dict[str, Any]:
    """Return what the page says of a failed picture; the address is a text, and never leads to a retailer."""
    picture = getattr(task.image, "stored_picture", None)
    return {
        "task": task,
        "words": get_error_words(task.error_code),
        "state": STATE_WORDS[LabelTask.State(task.state)],
        "address": remove_bidi_controls(task.image.url),
        "sha256": picture.sha256 if picture else None,
        "run": f"run {task.run_id}",
        "tries": describe_tries(task),
        "next_try_at": task.next_try_at if task.state == LabelTask.State.RETRY else None,
        "can_ignore": task.state != LabelTask.State.IGNORED,
    }


def describe_tries(task: LabelTask) -> str:
    """Return how often a picture was tried, and how many workers it was in the hand of when they died."""
    tries = "1 attempt" if task.attempts == 1 else f"{task.attempts} attempts"
    if not task.crashes:
        return tries
    return f"{tries}, 1 crash" if task.crashes == 1 else f"{tries}, {task.crashes} crashes"

"""What the pages of all runs share: the form that starts one, how one stands, and the button that cancels it."""

from collections.abc import Callable
from typing import Any

from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.utils import timezone

from classifier.models import Run
from config.web.pages import build_refusal
from config.web.texts import format_duration


def start_run(
    request: HttpRequest,
    model: type[Run],
    *,
    form: Any,
    start: Callable[..., Run],
    refusals: tuple[type[Exception], ...],
    route: str,
) -> HttpResponse | tuple[dict[str, Any], int]:
    """Start a run as the form of its list asks; return the way to its page, or what the list says and with what status.

    `start` takes the form's data by name, and may raise one of `refusals`. The names of addresses begin with `route`.
    """
    if not request.user.has_perm(f"classifier.add_{model._meta.model_name}"):
        return render(request, "error.html", build_refusal(f"start a {model._meta.verbose_name}"), status=403)
    said = {"chosen": request.POST}
    if not form.is_valid():
        return {**said, "errors": form.errors}, 400
    try:
        run = start(**form.validated_data)
    except refusals as error:
        return {**said, "problem": str(error)}, 409
    return redirect(f"{route}-detail", run.pk)


def describe_run(request: HttpRequest, run: Run, *, route: str = "") -> dict[str, Any]:
    """Return what `classifier/run_state.html` and `run_facts.html` show; with a `route` it may be cancelled there."""
    may_cancel = request.user.has_perm(f"classifier.change_{run._meta.model_name}")
    is_stoppable = run.is_open and not run.cancel_requested
    since = run.started_at or run.created_at
    return {
        "run": run,
        "elapsed": format_duration(((run.finished_at or timezone.now()) - since).total_seconds()),
        "cancel_address": reverse(f"{route}-cancel", args=[run.pk]) if route and is_stoppable and may_cancel else "",
    }


def cancel_run(request: HttpRequest, run: Any, *, cancel: Callable[[Any], bool], route: str) -> HttpResponse:
    """Cancel a run, and answer with the way to its page; one that had ended stays as it is, and a message says so."""
    if not cancel(run):
        messages.info(request, "The run had ended before.")
    return redirect(f"{route}-detail", run.pk)

"""What the pages of all runs share: the form that starts one, how one stands, and the button that cancels it."""

from collections.abc import Callable
from typing import Any

from django.contrib import messages
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.utils import timezone

from classifier.models import Run
from classifier.runs.workers import find_queue_health
from config.cached_counts import get_cached_count
from config.web.model_views import find_page
from config.web.texts import format_duration


def answer_run_list(
    request: HttpRequest,
    runs: QuerySet[Any],
    *,
    form_class: Any,
    start: Callable[..., Run],
    refusals: tuple[type[Exception], ...],
    describe: Callable[[Any], str],
    route: str,
    context: dict[str, Any],
) -> HttpResponse:
    """Answer with the runs, newest first, each with what `describe` says; by POST start one, with the way to its page.

    `start` takes the form's data by name, and may raise one of `refusals`, which the list then says. The names of
    addresses begin with `route`; `context` is what the list's form shows besides.
    """
    status = 200
    if request.method == "POST":
        if not request.user.has_perm(f"classifier.add_{runs.model._meta.model_name}"):
            detail = f"You do not have permission to start a {runs.model._meta.verbose_name}."
            refusal = {"status": 403, "title": "Forbidden", "detail": detail}
            return render(request, "error.html", refusal, status=403)
        form = form_class(data=request.POST)
        context = {**context, "chosen": request.POST}
        if form.is_valid():
            try:
                return redirect(f"{route}-detail", start(**form.validated_data).pk)
            except refusals as error:
                context["problem"], status = str(error), 409
        else:
            context["errors"], status = form.errors, 400
    page = find_page(request, runs)
    worker = find_queue_health(runs.model.queue)
    context = {**context, "page": page, "worker": worker, "runs": [(run, describe(run)) for run in page.rows]}
    return render(request, f"classifier/{route.replace('-', '_')}_list.html", context, status=status)


def get_run_count(key: str, *, count: Callable[[Any], Any], is_current: Callable[[Any], bool]) -> Any:
    """Return what `config.cached_counts.get_cached_count` does.

    Counting takes 5 % of a core at most while a count takes a quarter of a second at most, though PostgreSQL counts
    many rows with two processes. A longer one, as a machine with much other work takes for any, is shown for ten
    seconds: whoever waits for the run would think that it stands still.
    """
    return get_cached_count(
        key,
        count=count,
        is_current=is_current,
        fresh_seconds=1.9,
        fresh_times=40,
        fresh_at_most=10,
        timeout_seconds=600,
    )


def describe_run(
    request: HttpRequest, run: Run, *, route: str = "", is_due: bool = False, may_cancel: bool | None = None
) -> dict[str, Any]:
    """Return what `classifier/run_state.html`, `run_facts.html` and `worker.html` show of a run.

    With a `route` it may be cancelled there, by whoever has the permission to change such runs, or as `may_cancel`
    says. `is_due` says that workers have something to do for one that has ended.
    """
    if may_cancel is None:
        may_cancel = request.user.has_perm(f"classifier.change_{run._meta.model_name}")
    is_stoppable = run.is_open and not run.cancel_requested
    since = run.started_at or run.created_at
    return {
        "run": run,
        "worker": find_queue_health(run.queue) if run.is_open or is_due else None,
        "elapsed": format_duration(((run.finished_at or timezone.now()) - since).total_seconds()),
        "cancel_address": reverse(f"{route}-cancel", args=[run.pk]) if route and is_stoppable and may_cancel else "",
    }


def cancel_run(request: HttpRequest, run: Any, *, cancel: Callable[[Any], bool], route: str) -> HttpResponse:
    """Cancel a run, and answer with the way to its page; one that had ended stays as it is, and a message says so."""
    if not cancel(run):
        messages.info(request, "The run had ended before.")
    return redirect(f"{route}-detail", run.pk)


def warn_without_worker(request: HttpRequest, queue: str = Run.queue) -> None:
    """Add a message to the next page if nobody works on the queue."""
    health = find_queue_health(queue)
    if health.stale:
        messages.warning(request, f"{health.sentence} {health.command}")

"""The pages of updates of the pictures by group."""

from functools import partial

from django.contrib.auth.decorators import login_required, permission_required
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, render
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from classifier.labelling.output_api import OutputRunRequestSerializer
from classifier.labelling.outputs import (
    FILTERS,
    STORAGE,
    OutputError,
    OutputOpenError,
    cancel_output_run,
    list_storages,
    start_output_run,
)
from classifier.models import OutputRun
from classifier.runs.pages import answer_run_list, cancel_run, describe_run
from config.web.permissions import get_member


@require_http_methods(["GET", "HEAD", "POST"])
@login_required
@permission_required("classifier.view_outputrun", raise_exception=True)
def output_run_list(request: HttpRequest) -> HttpResponse:
    """Answer with the updates, newest first; by POST start another one and answer with its page."""
    return answer_run_list(
        request,
        OutputRun.objects.select_related("requested_by"),
        form_class=OutputRunRequestSerializer,
        start=partial(start_output_run, user=get_member(request)),
        refusals=(OutputError, OutputOpenError),
        describe=describe_update,
        route="output-run",
        context={"storages": list_storages(), "chosen": {"filters": FILTERS, "storage": STORAGE}},
    )


@require_safe
@login_required
@permission_required("classifier.view_outputrun", raise_exception=True)
def output_run_detail(request: HttpRequest, pk: int) -> HttpResponse:
    """Answer with one update: how far it is, and what it did."""
    run = get_object_or_404(OutputRun.objects.select_related("requested_by"), pk=pk)
    context = {**describe_run(request, run, route="output-run"), "live": run.is_open, "said": describe_update(run)}
    return render(request, "classifier/output_run_detail.html", context)


@require_POST
@login_required
@permission_required("classifier.change_outputrun", raise_exception=True)
def output_run_cancel(request: HttpRequest, pk: int) -> HttpResponse:
    """Cancel an update that has not ended, and answer with its page."""
    run = get_object_or_404(OutputRun, pk=pk)
    return cancel_run(request, run, cancel=cancel_output_run, route="output-run")


def describe_update(run: OutputRun) -> str:
    """Return what an update did, or how many products it has looked at."""
    if not run.figures:
        return f"{run.done:,} products looked at"
    words = {"added": "added", "moved": "moved", "removed": "removed", "kept": "as they were"}
    did = ", ".join(f"{run.figures[name]:,} {what}" for name, what in words.items())
    return f"{did}; of {run.figures['missing']:,} products we hold no picture"

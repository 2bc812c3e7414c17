"""The pages about trainings and model versions: for those who may see them, with forms for those who may act."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, cast

from django.contrib.auth.decorators import login_required, permission_required
from django.contrib.auth.models import User
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.utils import timezone
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from catalog.paging import InvalidCursorError, get_page
from classifier.api.serializers import TrainingRunRequestSerializer
from classifier.curves import build_curves
from classifier.dispatch import TrainingOpenError, start_training_run
from classifier.durations import format_duration
from classifier.ml.artefacts import ArtefactError
from classifier.ml.config import DEFAULT_RECIPE, RECIPES
from classifier.ml.labels import GROUPS
from classifier.models import ModelVersion, TrainingRun
from classifier.registry import (
    StageTransitionError,
    StaleActivationError,
    activate_model_version,
    find_manifest,
    get_activation_tag,
    verify_registered_artefact,
)
from classifier.selectors import NEWEST_FIRST, find_active_model_version
from classifier.training_runs import cancel_training_run, has_stalled

ROWS_PER_PAGE = 50
# A training that reports nothing for so long is shown as silent; its heartbeat says whether it lives.
SILENT_SECONDS = 180
# Epochs whose pace is that of the ones to come.
RECENT_EPOCHS = 3
FIGURES = (
    ("accuracy", "Accuracy over groups"),
    ("garment_accuracy", "Accuracy over garments"),
    ("macro_f1", "Macro F1"),
    ("expected_calibration_error", "Calibration error"),
    ("answered", "Answered"),
    ("accuracy_of_answered", "Accuracy of answered"),
)
# Digits after the point in the table of epochs, where four say too much or too little.
DIGITS = {"size": 0, "seconds": 1, "learning_rate": 6}
MEASURES = (
    ("recall", "Recall"),
    ("precision", "Precision"),
    ("negative_predictive_value", "Negative predictive value"),
)


@require_http_methods(["GET", "HEAD", "POST"])
@login_required
@permission_required("classifier.view_trainingrun", raise_exception=True)
def training_run_list(request: HttpRequest) -> HttpResponse:
    """Answer with the trainings, newest first; by POST queue another one and answer with its page."""
    context: dict[str, Any] = {"recipes": RECIPES.values(), "chosen": {"recipe": DEFAULT_RECIPE, "seed": 1}}
    status = 200
    if request.method == "POST":
        if not request.user.has_perm("classifier.add_trainingrun"):
            return render(request, "error.html", build_refusal("start a training"), status=403)
        form = TrainingRunRequestSerializer(data=request.POST)
        if form.is_valid():
            try:
                run = start_training_run(user=cast(User, request.user), exclusive=True, **form.validated_data)
            except TrainingOpenError as error:
                context["problem"], status = str(error), 409
            else:
                return redirect("training-run-detail", run.pk)
        else:
            context["errors"], status = form.errors, 400
        context["chosen"] = request.POST
    runs = TrainingRun.objects.select_related("model_version", "requested_by")
    context["page"] = find_page(request, runs)
    return render(request, "classifier/training_run_list.html", context, status=status)


@require_safe
@login_required
@permission_required("classifier.view_trainingrun", raise_exception=True)
def training_run_detail(request: HttpRequest, pk: int) -> HttpResponse:
    """Answer with one training: its phase, its epochs and how it ended. The page asks again while the run is open."""
    run = get_object_or_404(TrainingRun.objects.select_related("model_version", "requested_by"), pk=pk)
    history = run.progress.get("history", [])
    now = timezone.now()
    silent, left = find_silent_seconds(run, now=now), find_seconds_left(run.progress)
    is_running = run.state == TrainingRun.State.RUNNING
    context = {
        "run": run,
        "open": is_running or run.state == TrainingRun.State.QUEUED,
        "stalled": has_stalled(run),
        "silent": format_duration(silent) if silent is not None and silent > SILENT_SECONDS else "",
        "share": find_share(run.progress),
        "elapsed": format_duration(((run.finished_at or now) - run.started_at).total_seconds())
        if run.started_at
        else "",
        "left": format_duration(left) if is_running and left is not None else "",
        "history": build_history(history),
        "curves": build_curves(history),
    }
    return render(request, "classifier/training_run_detail.html", context)


@require_POST
@login_required
@permission_required("classifier.change_trainingrun", raise_exception=True)
def training_run_cancel(request: HttpRequest, pk: int) -> HttpResponse:
    """Cancel a training that has not ended, and answer with its page."""
    run = get_object_or_404(TrainingRun, pk=pk)
    cancel_training_run(run)
    return redirect("training-run-detail", run.pk)


@require_safe
@login_required
@permission_required("classifier.view_modelversion", raise_exception=True)
def model_version_list(request: HttpRequest) -> HttpResponse:
    """Answer with the model versions and their figures, newest first."""
    page = find_page(request, ModelVersion.objects.select_related("training_run"))
    rows = [(version, [version.metrics.get(name) for name, _ in FIGURES[:4]]) for version in page.rows]
    context = {"page": page, "rows": rows, "figures": [title for _, title in FIGURES[:4]]}
    return render(request, "classifier/model_version_list.html", context)


@require_safe
@login_required
@permission_required("classifier.view_modelversion", raise_exception=True)
def model_version_detail(request: HttpRequest, pk: int) -> HttpResponse:
    """Answer with one model version beside the active one: figures, groups, and how it was trained."""
    return render_version(request, pk)


@require_POST
@login_required
@permission_required("classifier.change_modelversion", raise_exception=True)
def model_version_activate(request: HttpRequest, pk: int) -> HttpResponse:
    """Make a version the active one, if the one that the user saw as active still is, and answer with its page."""
    version = get_object_or_404(ModelVersion, pk=pk)
    try:
        verify_registered_artefact(version)
        activate_model_version(version, expected_tags=[request.POST.get("tag", "")])
    except StaleActivationError:
        problem = (
            "Another version was activated meanwhile. Compare with that one, and activate again if it still holds."
        )
        return render_version(request, pk, problem=problem, status=412)
    except (ArtefactError, StageTransitionError) as error:
        reason = "its files are missing or changed" if isinstance(error, ArtefactError) else str(error)
        return render_version(request, pk, problem=f"The version was not activated: {reason}.", status=409)
    return redirect("model-version-detail", version.pk)


def render_version(request: HttpRequest, pk: int, *, problem: str = "", status: int = 200) -> HttpResponse:
    """Return the page of a version, with what went wrong if something did; not found without one."""
    tag = get_activation_tag()  # first: the page never shows a newer state than the form stands for
    version = get_object_or_404(ModelVersion.objects.select_related("training_run"), pk=pk)
    active = find_active_model_version()
    compared = active if active != version else None
    manifest = find_manifest(version)
    history = list(manifest.training.get("history", [])) if manifest else []
    context = {
        "version": version,
        "active": compared,
        "tag": tag,
        "problem": problem,
        "figures": compare_figures(version.metrics, compared.metrics if compared else {}),
        "measures": [title for _, title in MEASURES],
        "groups": [
            (group, [version.metrics.get("groups", {}).get(group, {}).get(name) for name, _ in MEASURES])
            for group in GROUPS
        ],
        "manifest": manifest,
        "history": build_history(history),
        "curves": build_curves(history),
    }
    return render(request, "classifier/model_version_detail.html", context, status=status)


def build_refusal(what: str) -> dict[str, Any]:
    """Return the context of the error page for somebody who may look but not act."""
    return {"status": 403, "title": "Forbidden", "detail": f"You do not have permission to {what}."}


def find_page(request: HttpRequest, queryset: Any) -> Any:
    """Return the page that the address names; not found for a cursor that is not ours."""
    try:
        cursor = request.GET.get("cursor", "")
        return get_page(queryset, ordering=NEWEST_FIRST, page_size=ROWS_PER_PAGE, cursor=cursor)
    except InvalidCursorError as error:
        raise Http404 from error


def find_share(progress: Mapping[str, Any]) -> float | None:
    """Return how much of its epochs a training has done, 0 to 1, or None while it has none."""
    epochs, steps = progress.get("epochs"), progress.get("steps")
    if not epochs or not steps:
        return None
    share: float = (progress["epoch"] - 1 + progress["step"] / steps) / epochs
    return share


def find_seconds_left(progress: Mapping[str, Any]) -> float | None:
    """Return the seconds that the epochs still take at the pace of the last ones, or None before the first one ended.

    A training may stop earlier, when it does not get better any more.
    """
    seconds = [row["seconds"] for row in progress.get("history", []) if "seconds" in row][-RECENT_EPOCHS:]
    if not seconds or progress.get("phase") != "train" or not progress.get("steps"):
        return None
    epochs: float = progress["epochs"] - progress["epoch"] + 1 - progress["step"] / progress["steps"]
    return epochs * sum(seconds) / len(seconds)


def find_silent_seconds(run: TrainingRun, *, now: datetime) -> float | None:
    """Return the seconds since a running training last reported something, or None if it is not running."""
    if run.state != TrainingRun.State.RUNNING or run.started_at is None:
        return None
    reported = run.progress.get("reported_at")
    return (now - (datetime.fromisoformat(reported) if reported else run.started_at)).total_seconds()


def build_history(history: Sequence[Mapping[str, float]]) -> dict[str, Any]:
    """Return the columns and the rows of a table of epochs, values as texts; what one epoch lacks is a dash there."""
    columns = list(dict.fromkeys(name for row in history for name in row if name != "epoch"))
    rows = [
        (
            int(row.get("epoch", 0)),
            [f"{row[name]:.{DIGITS.get(name, 4)}f}" if name in row else "-" for name in columns],
        )
        for row in history
    ]
    return {"columns": [name.replace("_", " ") for name in columns], "rows": rows}


def compare_figures(own: Mapping[str, Any], other: Mapping[str, Any]) -> list[tuple[str, Any, Any]]:
    """Return (title, this version's, the other's) for the figures that this version has."""
    return [(title, own[name], other.get(name)) for name, title in FIGURES if own.get(name) is not None]

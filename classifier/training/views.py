"""The pages of trainings: for those who may see them, with forms for those who may act."""

import os
from collections.abc import Mapping
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import Any

from django.conf import settings
from django.contrib import messages
from django.contrib.auth.decorators import login_required, permission_required
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.utils.text import capfirst
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from classifier.ml.config import DEFAULT_RECIPE, IMAGENET, NO_WEIGHTS, RECIPES, Recipe, name_imagenet_file
from classifier.ml.reports.curves import build_history
from classifier.models import TrainingRun
from classifier.runs.pages import answer_run_list, cancel_run, describe_run
from classifier.training.reviewed import count_new_reviews
from classifier.training.runs import cancel_training_run, find_usual_weights, has_stalled
from classifier.training.serializers import TrainingRunRequestSerializer
from classifier.training.starting import TrainingOpenError, start_training_run
from classifier.training.titles import has_enough_titles
from classifier.training.waiting import count_answers, train_anyway
from config.db.clock import get_database_time
from config.packages import describe_missing_tensorflow
from config.web.permissions import get_member
from config.web.texts import format_duration


@require_http_methods(["GET", "HEAD", "POST"])
@login_required
@permission_required("classifier.view_trainingrun", raise_exception=True)
def training_run_list(request: HttpRequest) -> HttpResponse:
    """Answer with the trainings, newest first; by POST queue another one and answer with its page."""
    return answer_run_list(
        request,
        TrainingRun.objects.select_related("model_version", "requested_by"),
        form_class=TrainingRunRequestSerializer,
        start=partial(start_training_run, requested_by=get_member(request), exclusive=True),
        refusals=(TrainingOpenError,),
        describe=lambda run: "",
        route="training-run",
        context={
            "retraining": describe_retraining(),
            "recipes": list_recipes(),
            "weights": list_weights(),
            # Elsewhere the workers may be on other machines, and their runs say what these lack.
            "missing": "" if settings.REDIS_URL else describe_missing_tensorflow(),
            "chosen": {"recipe": DEFAULT_RECIPE, "seed": 1, "backbone_weights": find_usual_weights()},
        },
    )


def list_recipes() -> list[Recipe]:
    """Return the recipes that are offered in a list here: that titles teach, where there are titles enough.

    That reviews teach has a button of its own.
    """
    offered = [recipe for recipe in RECIPES.values() if recipe.trainable != "reviewed"]
    return [recipe for recipe in offered if recipe.trainable != "titles" or has_enough_titles()]


def describe_retraining() -> str:
    """Return what the button says that trains with reviews; empty where none are new."""
    number = count_new_reviews()
    if not number:
        return ""
    return f"{number:,} review{'s' if number > 1 else ''} since the last training: train with them"


@require_safe
@login_required
@permission_required("classifier.view_trainingrun", raise_exception=True)
def training_run_detail(request: HttpRequest, pk: int) -> HttpResponse:
    """Answer with one training: its phase, its epochs and how it ended. The page asks again while the run is open."""
    run = get_object_or_404(TrainingRun.objects.select_related("model_version", "requested_by", "waits_for"), pk=pk)
    history = run.progress.get("history", [])
    now = get_database_time()
    silent, left = find_silent_seconds(run, now=now), find_seconds_left(run.progress)
    is_running = run.state == TrainingRun.State.RUNNING
    context = {
        **describe_run(request, run, route="training-run"),
        "live": run.is_open,
        "waits": describe_wait(run) if run.state == TrainingRun.State.WAITING else "",
        "stalled": has_stalled(run, now=now),
        "silent": format_duration(silent) if silent is not None and silent > SILENT_SECONDS else "",
        "phase": (phase := describe_phase(run.progress)),
        "announced": phase if is_running else "",
        "share": find_share(run.progress),
        "left": format_duration(left) if is_running and left is not None else "",
        "history": build_history(history),
        "again": list_asked(run) if not run.is_open and run.state != TrainingRun.State.DONE else [],
        "weights": list_weights(),
        "chosen": {"backbone_weights": run.backbone_weights or find_usual_weights()},
    }
    return render(request, "classifier/training_run_detail.html", context)


@require_POST
@login_required
@permission_required("classifier.change_trainingrun", raise_exception=True)
def training_run_cancel(request: HttpRequest, pk: int) -> HttpResponse:
    """Cancel a training that has not ended, and answer with its page."""
    run = get_object_or_404(TrainingRun, pk=pk)
    return cancel_run(request, run, cancel=cancel_training_run, route="training-run")


@require_POST
@login_required
@permission_required("classifier.change_trainingrun", raise_exception=True)
def training_run_train(request: HttpRequest, pk: int) -> HttpResponse:
    """Train without the answers that a training waits for, and answer with its page."""
    if not train_anyway(get_object_or_404(TrainingRun, pk=pk)):
        messages.info(request, "The training did not wait any more.")
    return redirect("training-run-detail", pk)


def describe_wait(run: TrainingRun) -> str:
    """Return what a training waits for, and how much of it is there."""
    if run.waits_for is None:
        return "Waits for answers to an audit that is not there any more."
    return (
        f"Waits for {run.waits_for_answers:,} answers to the audit of {run.waits_for.segment}: "
        f"{count_answers(run):,} so far."
    )


def list_asked(run: TrainingRun) -> list[tuple[str, Any]]:
    """Return (name, value) of what the form that starts the same training again is sent with."""
    asked = ((name, getattr(run, name)) for name in ("recipe", "seed", "epochs", "limit"))
    return [(name, value) for name, value in asked if value is not None]


def list_weights() -> list[tuple[str, str]]:
    """Return (value, words) of what the backbone may start from; the words say whether the file is on this machine."""
    cache = Path(os.environ.get("KERAS_HOME") or Path.home() / ".keras") / "models"
    named = settings.BACKBONE_WEIGHTS if settings.BACKBONE_WEIGHTS != NO_WEIGHTS else ""
    files = [Path(named)] if named else [cache / name_imagenet_file(recipe.alpha) for recipe in RECIPES.values()]
    where = "its file is here" if all(file.is_file() for file in files) else "which is downloaded: no file is here"
    return [(IMAGENET, f"ImageNet, {where}"), (NO_WEIGHTS, "None: random weights")]


# A training that reports nothing for so long is shown as silent; its heartbeat says whether it lives.
SILENT_SECONDS = 180
# Epochs whose pace is that of the ones to come.
RECENT_EPOCHS = 3


def describe_phase(progress: Mapping[str, Any]) -> str:
    """Return what a training is doing, in words, and in which of its epochs."""
    phase = capfirst(progress.get("phase") or "Starting")
    epochs = progress.get("epochs")
    return f"{phase}, epoch {progress.get('epoch', '')} of {epochs}" if epochs else phase


def find_share(progress: Mapping[str, Any]) -> float | None:
    """Return how much of its epochs a training has done, 0 to 1, or None while it has none."""
    epochs, steps = progress.get("epochs"), progress.get("steps")
    if not epochs or not steps:
        return None
    return (progress["epoch"] - 1 + progress["step"] / steps) / epochs


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

"""The pages of model versions, with the forms that ask for a stage and decide about it."""

from collections.abc import Callable
from typing import Any

from django import forms
from django.contrib.auth.decorators import login_required, permission_required
from django.core.exceptions import BadRequest
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.views.decorators.http import require_POST, require_safe

from classifier.adoption.catalogue import describe_catalogue, list_contradictions
from classifier.adoption.history import describe_stages
from classifier.adoption.reports import describe_activation, describe_promise, find_adoption_report
from classifier.adoption.serializers import MAXIMUM_REASON, StageRequestSerializer
from classifier.adoption.services import (
    Asker,
    Stage,
    StageError,
    StaleActivationError,
    Way,
    approve_stage_change,
    ask_for_stage,
    get_activation_tag,
    reject_stage_change,
    roll_back,
    withdraw_stage_change,
)
from classifier.ml.artefacts import ArtefactError
from classifier.ml.labels import GROUPS
from classifier.ml.reports.curves import build_history
from classifier.models import AdoptionRun, ModelVersion, StageChange
from classifier.registry.selectors import find_active_model_version
from classifier.registry.services import find_manifest
from classifier.runs.pages import describe_run
from classifier.runs.workers import find_queue_health
from config.web.model_views import find_page
from config.web.permissions import get_member

FIGURES = (
    ("accuracy", "Accuracy over groups"),
    ("garment_accuracy", "Accuracy over garments"),
    ("macro_f1", "Macro F1"),
    ("expected_calibration_error", "Calibration error"),
    ("answered", "Answered"),
    ("accuracy_of_answered", "Accuracy of answered"),
)

MEASURES = (
    ("recall", "Recall"),
    ("precision", "Precision"),
    ("negative_predictive_value", "Negative predictive value"),
)


class ReasonForm(forms.Form):
    """Why something is asked for or decided; the service says where that cannot be left out."""

    reason = forms.CharField(required=False, max_length=MAXIMUM_REASON)


@require_safe
@login_required
@permission_required("classifier.view_modelversion", raise_exception=True)
def model_version_list(request: HttpRequest) -> HttpResponse:
    """Answer with the model versions and their figures, newest first."""
    page = find_page(request, ModelVersion.objects.select_related("training_run"))
    rows = [(version, [version.write_figure(name) for name, _ in FIGURES[:4]]) for version in page.rows]
    waiting = StageChange.objects.filter(
        decision=StageChange.Decision.OPEN, model_version__in=[version.pk for version in page.rows]
    )
    context = {
        "asked": set(waiting.values_list("model_version_id", flat=True)),
        "page": page,
        "rows": rows,
        "figures": [title for _, title in FIGURES[:4]],
    }
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
    """Ask for a version to come into production, if the one that the user saw there still is; answer with its page."""
    return ask(request, pk, to=Stage.PRODUCTION, expected_tags=[request.POST.get("tag", "")])


@require_POST
@login_required
@permission_required("classifier.change_modelversion", raise_exception=True)
def model_version_stage(request: HttpRequest, pk: int) -> HttpResponse:
    """Give a version another stage, for which nobody has to approve, and answer with its page."""
    form = StageRequestSerializer(data=request.POST)
    if not form.is_valid():
        return render_version(request, pk, problem="Expected one of the stages, and a reason.", status=400)
    return ask(request, pk, to=form.validated_data["to"])


def ask(request: HttpRequest, pk: int, *, to: str, expected_tags: list[str] | None = None) -> HttpResponse:
    """Ask for a stage with what the form says, and answer with the version's page."""
    version = get_object_or_404(ModelVersion, pk=pk)
    reason = _read_reason(request)
    return act(
        request,
        pk,
        lambda: ask_for_stage(
            version,
            to=to,
            asker=Asker(Way.PAGE, get_member(request)),
            reason=reason,
            force="force" in request.POST,
            expected_tags=expected_tags,
        ),
        stale="Another version was activated meanwhile. Compare with that one, and ask again if it still holds.",
    )


@require_POST
@login_required
@permission_required("classifier.change_modelversion", raise_exception=True)
def stage_change_decide(request: HttpRequest, pk: int) -> HttpResponse:
    """Approve, reject or withdraw a request as the user saw it, and answer with the version's page."""
    change = get_object_or_404(StageChange.objects.select_related("model_version"), pk=pk)
    given: dict[str, Any] = {
        "user": get_member(request),
        "reason": _read_reason(request),
        "expected_tags": [request.POST.get("tag", "")],
    }
    decisions: dict[str, Callable[[], StageChange]] = {
        "approve": lambda: approve_stage_change(change, without_catalogue="without_catalogue" in request.POST, **given),
        "reject": lambda: reject_stage_change(change, **given),
        "withdraw": lambda: withdraw_stage_change(change, **given),
    }
    decide = decisions.get(request.POST.get("decision", ""))
    if decide is None:
        raise BadRequest(f"Expected a decision: {', '.join(decisions)}.")
    return act(request, change.model_version_id, decide)


@require_POST
@login_required
@permission_required("classifier.change_modelversion", raise_exception=True)
def model_version_rollback(request: HttpRequest) -> HttpResponse:
    """Go back to the version before, and answer with its page."""
    active = find_active_model_version()
    if active is None:
        raise Http404
    reason = _read_reason(request)
    return act(request, active.pk, lambda: roll_back(reason=reason, asker=Asker(Way.PAGE, get_member(request))))


def _read_reason(request: HttpRequest) -> str:
    """Return the reason that the form gives, empty without one. Raises `BadRequest` for what cannot be stored."""
    form = ReasonForm(request.POST)
    if not form.is_valid():
        raise BadRequest(f"Reason: {form.errors['reason'][0]}")
    reason: str = form.cleaned_data["reason"]
    return reason


def act(request: HttpRequest, pk: int, do: Callable[[], StageChange], *, stale: str = "") -> HttpResponse:
    """Do it, and answer with the page of the version that it was about, or with this one's where it is refused."""
    try:
        change = do()
    except ArtefactError as error:
        return render_version(request, pk, problem=f"The version was not activated: {error.reason}.", status=409)
    except StageError as error:
        problem = stale if stale and isinstance(error, StaleActivationError) else str(error)
        return render_version(request, pk, problem=problem, status=error.status)
    return redirect("model-version-detail", change.model_version_id)


def render_version(request: HttpRequest, pk: int, *, problem: str = "", status: int = 200) -> HttpResponse:
    """Return the page of a version, with what went wrong if something did; not found without one."""
    tag = get_activation_tag()  # first: the page never shows a newer state than the form stands for
    version = get_object_or_404(ModelVersion.objects.select_related("training_run"), pk=pk)
    compared = find_compared(version)
    manifest = find_manifest(version)
    history = list(manifest.training.get("history", [])) if manifest else []
    adoption = find_adoption_report(version)
    context = {
        **(describe_run(request, adoption.run) if adoption else {}),
        "adoption": adoption,
        "promise": describe_promise(adoption.run) if adoption else "",
        **describe_choice(request, version, tag=tag),
        "active": compared,
        "problem": problem,
        "figures": compare_figures(version, compared),
        "measures": [title for _, title in MEASURES],
        "groups": [
            (group, [version.metrics.get("groups", {}).get(group, {}).get(name) for name, _ in MEASURES])
            for group in GROUPS
        ],
        "catalogue": describe_catalogue(manifest.training) if manifest else None,
        "contradictions": list_contradictions(version),
        "manifest": manifest,
        "history": build_history(history),
    }
    return render(request, "classifier/model_version_detail.html", context, status=status)


def find_compared(version: ModelVersion) -> ModelVersion | None:
    """Return the version in production, None where this one is."""
    active = find_active_model_version()
    return active if active != version else None


def describe_choice(request: HttpRequest, version: ModelVersion, *, tag: str) -> dict[str, Any]:
    """Return what `classifier/stages.html` shows of a version, for the reader; `tag` was read before everything."""
    compared = find_compared(version)
    return {
        **describe_stages(version, reader=get_member(request)),
        "version": version,
        "tag": tag,
        "worker": find_queue_health(AdoptionRun.queue),
        "activation": describe_activation(instead_of=compared),
        "question": ask_for_activation(version, instead_of=compared),
    }


def ask_for_activation(version: ModelVersion, *, instead_of: ModelVersion | None) -> str:
    """Return what somebody who activates the version is asked, with the figure that tells the most."""
    own = f"{version.name} is right on {version.write_figure('accuracy', digits=1)} of the test pictures"
    if instead_of is None:
        return f"{own}. Let it decide labels?"
    return f"{own}, {instead_of.name} on {instead_of.write_figure('accuracy', digits=1)}. Let it decide labels instead?"


def compare_figures(own: ModelVersion, other: ModelVersion | None) -> list[tuple[str, str, str]]:
    """Return (title, this version's, the other's) for the figures that this version has, as the page shows them."""
    known = [(name, title) for name, title in FIGURES if own.has_figure(name)]
    return [(title, own.write_figure(name), other.write_figure(name) if other else "") for name, title in known]

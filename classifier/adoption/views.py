"""The pages of model versions, with the form that activates one."""

from django.contrib.auth.decorators import login_required, permission_required
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.views.decorators.http import require_POST, require_safe

from classifier.adoption.catalogue import describe_catalogue, list_contradictions
from classifier.adoption.reports import describe_activation, find_adoption_report
from classifier.adoption.services import (
    StageTransitionError,
    StaleActivationError,
    activate_model_version,
    get_activation_tag,
)
from classifier.ml.artefacts import ArtefactError
from classifier.ml.labels import GROUPS
from classifier.ml.reports.curves import build_history
from classifier.models import AdoptionRun, ModelVersion
from classifier.registry.selectors import find_active_model_version
from classifier.registry.services import find_manifest
from classifier.runs.pages import describe_run
from classifier.runs.workers import find_queue_health
from config.web.pages import find_page
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


@require_safe
@login_required
@permission_required("classifier.view_modelversion", raise_exception=True)
def model_version_list(request: HttpRequest) -> HttpResponse:
    """Answer with the model versions and their figures, newest first."""
    page = find_page(request, ModelVersion.objects.select_related("training_run"))
    rows = [(version, [version.write_figure(name) for name, _ in FIGURES[:4]]) for version in page.rows]
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
        activate_model_version(version, expected_tags=[request.POST.get("tag", "")], user=get_member(request))
    except StaleActivationError:
        problem = (
            "Another version was activated meanwhile. Compare with that one, and activate again if it still holds."
        )
        return render_version(request, pk, problem=problem, status=412)
    except (ArtefactError, StageTransitionError) as error:
        reason = error.reason if isinstance(error, ArtefactError) else str(error)
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
    adoption = find_adoption_report(version)
    context = {
        **(describe_run(request, adoption.run) if adoption else {}),
        "adoption": adoption,
        "worker": find_queue_health(AdoptionRun.queue),
        "version": version,
        "active": compared,
        "tag": tag,
        "problem": problem,
        "activation": describe_activation(instead_of=compared),
        "question": ask_for_activation(version, instead_of=compared),
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

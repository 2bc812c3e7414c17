"""Model versions in the admin, with the choice of the one in production, and the runs that adopt one."""

from typing import Any

from django.contrib import admin, messages
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from django.template.response import TemplateResponse
from django.urls import reverse

from classifier.adoption.reports import describe_activation
from classifier.adoption.runs import cancel_adoption_run
from classifier.adoption.services import (
    Asker,
    Stage,
    StageError,
    Way,
    ask_for_stage,
    get_activation_tag,
)
from classifier.ml.artefacts import ArtefactError
from classifier.models import AdoptionRun, ModelVersion, StageChange
from classifier.registry.selectors import find_active_model_version
from classifier.runs.admin import RunAdmin
from classifier.runs.pages import warn_without_worker
from config.web.admin import ReadOnlyAdmin
from config.web.permissions import get_member


class ModelVersionAdmin(ReadOnlyAdmin):
    """Model versions and their figures."""

    list_display = ("name", "stage", "accuracy", "recipe", "seed", "created_at", "activated_at")
    list_filter = ("stage",)
    search_fields = ("name",)
    actions = ("activate_selected",)
    exclude = ("metrics",)  # the version's own page draws them
    readonly_fields = ("accuracy",)

    @admin.display
    def accuracy(self, version: ModelVersion) -> str | None:
        """Show the accuracy over the five groups on the test images."""
        accuracy = version.metrics.get("accuracy")
        return None if accuracy is None else f"{accuracy:.2%}"

    def has_activate_permission(self, request: HttpRequest) -> bool:
        """Return whether the user may change which version is active."""
        return request.user.has_perm("classifier.change_modelversion")

    def view_on_site(self, version: ModelVersion) -> str:
        """Return the address of the version's page."""
        return reverse("model-version-detail", args=[version.pk])

    @admin.action(description="Activate the selected version", permissions=["activate"])
    def activate_selected(self, request: HttpRequest, queryset: QuerySet[ModelVersion]) -> HttpResponse | None:
        """Ask whether the one selected version shall be active and, once that is confirmed, make it so."""
        versions = list(queryset[:2])
        if len(versions) != 1:
            self.message_user(request, "Expected one version to activate; more were selected.", messages.ERROR)
            return None
        version = versions[0]
        if "confirmed" not in request.POST:
            return self._confirm(request, version)
        try:
            change = ask_for_stage(
                version,
                to=Stage.PRODUCTION,
                asker=Asker(Way.ADMIN, get_member(request)),
                expected_tags=[request.POST.get("tag", "")],
            )
        except (ArtefactError, StageError) as error:
            self.message_user(request, f"{version.name} was not activated. {error}", messages.ERROR)
            return None
        self.log_change(request, version, f"Asked for production: request {change.pk} is {change.decision}.")
        if change.is_open:
            text = f"{version.name} is asked for production, which another person approves on the version's page."
        else:
            text = f"{version.name} is in production. New runs use it, and labels follow."
        self.message_user(request, text, messages.SUCCESS)
        warn_without_worker(request)
        return None

    def _confirm(self, request: HttpRequest, version: ModelVersion) -> HttpResponse:
        tag = get_activation_tag()  # first: what the page shows is never newer than what it confirms
        active = find_active_model_version()
        context: dict[str, Any] = {
            **self.admin_site.each_context(request),
            "title": f"Activate {version.name}?",
            "opts": self.opts,
            "version": version,
            "active": active if active != version else None,
            "tag": tag,
            "activation": describe_activation(instead_of=active if active != version else None),
        }
        return TemplateResponse(request, "admin/classifier/activate_confirmation.html", context)


class AdoptionRunAdmin(RunAdmin):
    """Adoptions and how far they are; who may choose the active version may cancel one."""

    list_display = ("id", "state", "model_version", "done", "changed", "requested_by", "created_at", "finished_at")
    list_select_related = ("model_version", "requested_by")
    cancel_run = staticmethod(cancel_adoption_run)
    cancel_permission = "classifier.change_modelversion"
    cancel_text = "Labels that follow the version stay, and others follow as they are come across. Nothing is labelled."

    def view_on_site(self, run: AdoptionRun) -> str:
        """Return the address of the page of the run's version."""
        return reverse("model-version-detail", args=[run.model_version_id])


class StageChangeAdmin(ReadOnlyAdmin):
    """Who asked for which stage of a version, and what became of it."""

    list_display = (
        "id",
        "model_version",
        "from_stage",
        "to_stage",
        "requested_by",
        "decision",
        "decided_by",
        "decided_at",
    )
    list_select_related = ("model_version", "requested_by", "decided_by")
    list_filter = ("decision", "to_stage")
    exclude = ("evidence",)  # the version's own page tells it

    def view_on_site(self, change: StageChange) -> str:
        """Return the address of the version's page."""
        return reverse("model-version-detail", args=[change.model_version_id])

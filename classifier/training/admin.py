"""Trainings in the admin, with the way to cancel them."""

from django.contrib import admin, messages
from django.db.models import QuerySet
from django.http import HttpRequest
from django.urls import reverse

from classifier.models import TrainingRun
from classifier.training.runs import cancel_training_run
from config.web.admin import ReadOnlyAdmin


class TrainingRunAdmin(ReadOnlyAdmin):
    """Trainings and how far they are."""

    list_display = ("id", "recipe", "state", "phase", "model_version", "requested_by", "created_at", "finished_at")
    list_filter = ("state",)
    list_select_related = ("model_version", "requested_by")
    actions = ("cancel_selected",)

    @admin.display
    def phase(self, run: TrainingRun) -> str | None:
        """Show the phase and, while it trains, the epoch."""
        progress = run.progress
        if not progress.get("epochs"):
            return progress.get("phase")
        return f"{progress.get('phase')}, epoch {progress.get('epoch')} of {progress['epochs']}"

    def view_on_site(self, run: TrainingRun) -> str:
        """Return the address of the run's page."""
        return reverse("training-run-detail", args=[run.pk])

    def has_cancel_permission(self, request: HttpRequest) -> bool:
        """Return whether the user may cancel trainings."""
        return request.user.has_perm("classifier.change_trainingrun")

    @admin.action(description="Cancel selected trainings", permissions=["cancel"])
    def cancel_selected(self, request: HttpRequest, queryset: QuerySet[TrainingRun]) -> None:
        """Cancel those of the selected trainings that have not ended; a running one stops at its next step."""
        cancelled = [run for run in queryset if cancel_training_run(run)]
        for run in cancelled:
            self.log_change(request, run, "Cancelled.")
        self.message_user(request, f"{len(cancelled)} trainings are cancelled.", messages.SUCCESS)

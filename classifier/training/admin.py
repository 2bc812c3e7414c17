"""Trainings in the admin, with the way to cancel them."""

from django.contrib import admin
from django.urls import reverse

from classifier.models import TrainingRun
from classifier.runs.admin import RunAdmin
from classifier.training.runs import cancel_training_run


class TrainingRunAdmin(RunAdmin):
    """Trainings and how far they are."""

    list_display = ("id", "recipe", "state", "phase", "model_version", "requested_by", "created_at", "finished_at")
    list_select_related = ("model_version", "requested_by")
    exclude = ("progress",)
    readonly_fields = ("phase",)
    cancel_run = staticmethod(cancel_training_run)
    cancel_permission = "classifier.change_trainingrun"
    cancel_text = "A training that is running stops at its next step. Nothing is registered."

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

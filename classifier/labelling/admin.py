"""Labelling runs and what was said of pictures, in the admin."""

from collections.abc import Sequence

from django.contrib import admin
from django.db.models import Count, OuterRef, QuerySet, Subquery
from django.db.models.functions import Coalesce
from django.http import HttpRequest
from django.urls import reverse
from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString

from catalog.admin.lists import render_thumbnail
from classifier.labelling.reports import get_run_report
from classifier.labelling.steps import cancel_labelling_run
from classifier.labels.reads import get_probabilities
from classifier.models import Classification, LabellingRun, LabelTask
from config.web.admin import CancellingAdmin, ReadOnlyAdmin


class LabellingRunAdmin(CancellingAdmin):
    """Labelling runs and how far they are."""

    list_display = (
        "id",
        "state",
        "errors",
        "total",
        "model_version",
        "requested_by",
        "created_at",
        "finished_at",
    )
    list_select_related = ("model_version", "requested_by")
    list_per_page = 25
    readonly_fields = ("tasks_by_state", "errors")
    cancel_permission = "classifier.change_labellingrun"
    cancel_text = "What a run has labelled stays; the pictures that it still holds are free for other runs."
    left_title = "Pictures they hold"

    def get_queryset(self, request: HttpRequest) -> QuerySet[LabellingRun]:
        """Return the runs with the number of their tasks that failed.

        What is done is counted on the run's own page: of a million tasks that takes a second.
        """
        failed = LabelTask.objects.filter(run=OuterRef("pk")).errors().order_by()
        number = Subquery(failed.values("run").annotate(number=Count("pk")).values("number"))
        return super().get_queryset(request).annotate(failed_tasks=Coalesce(number, 0))

    @admin.display
    def errors(self, run: LabellingRun) -> SafeString | str:
        """Show how many tasks are in the error queue, with a link to them there."""
        failed: int = vars(run)["failed_tasks"]
        if not failed:
            return "0"
        address = reverse("admin:classifier_labeltask_changelist", query={"run__id__exact": run.pk})
        return format_html('<a href="{}">{}</a>', address, failed)

    @admin.display(description="Tasks by state")
    def tasks_by_state(self, run: LabellingRun) -> str:
        """Show the number of tasks in each state."""
        progress = get_run_report(run).progress
        names = ("new", "running", "done", "waiting", "failed", "cancelled")
        more = ["takes more pictures"] if run.is_taking else []
        return " · ".join([*(f"{getattr(progress, name)} {name}" for name in names), *more])

    def count_left(self, running: Sequence[LabellingRun]) -> int:
        """Return how many pictures the runs hold."""
        return LabelTask.objects.open().filter(run__in=running).count()

    def cancel_run(self, run: LabellingRun) -> bool:
        """Cancel the run; return False if it had ended."""
        return cancel_labelling_run(run)


class ClassificationAdmin(ReadOnlyAdmin):
    """What model versions said."""

    list_display = (
        "id",
        "thumbnail",
        "image",
        "group",
        "garment",
        "confidence",
        "abstained",
        "model_version",
        "created_at",
    )
    list_display_links = ("id", "image")
    list_filter = ("group", "abstained", "model_version")
    list_select_related = ("image", "model_version")
    search_fields = ("image__url",)
    fields = (
        "thumbnail",
        "image",
        "group",
        "garment",
        "confidence",
        "abstained",
        "probabilities",
        "model_version",
        "run",
        "sha256",
        "created_at",
    )
    readonly_fields = ("thumbnail", "probabilities")

    def get_queryset(self, request: HttpRequest) -> QuerySet[Classification]:
        """Return the classifications without their embeddings."""
        return super().get_queryset(request).defer("embedding")

    @admin.display(description="")
    def thumbnail(self, classification: Classification) -> SafeString | str:
        """Show the picture that was classified."""
        return render_thumbnail(classification.sha256)

    @admin.display
    def probabilities(self, classification: Classification) -> SafeString:
        """Show the probability of each group and each garment."""
        by_garment, by_group = get_probabilities(classification)
        rows = [(name, f"{value:.1%}") for name, value in (by_group | by_garment).items()]
        return format_html_join("", "<div>{} {}</div>", rows)
